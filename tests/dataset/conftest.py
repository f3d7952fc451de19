import pytest

from geosurge_jax.dataset.reader import open_dataset
from tests.dataset.ramp import write_ramps


@pytest.fixture(scope="session")
def ramp_dataset(tmp_path_factory):
    return write_ramps(tmp_path_factory.mktemp("datasets"))


@pytest.fixture(scope="session")
def train_split(ramp_dataset):
    return open_dataset(ramp_dataset).split("train")
