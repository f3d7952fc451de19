import pytest

from geosurge_jax import Predictor
from tests.serving.releases import write_release


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """A folder for compiled programs and gallery vectors, so that tests leave the user's own alone."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def release(tmp_path_factory):
    return write_release(tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="session")
def predictor(release, cache):
    return Predictor.from_pretrained(release, cache_dir=cache)
