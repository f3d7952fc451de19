import pytest

from geosurge_jax.dataset.reader import Split, open_dataset
from geosurge_jax.dataset.record import Record
from geosurge_jax.dataset.writer import write_dataset
from tests.dataset.ramp import ramp_records, write_ramps


@pytest.fixture(scope="session")
def ramp_dataset(tmp_path_factory):
    return write_ramps(tmp_path_factory.mktemp("datasets"))


@pytest.fixture(scope="session")
def train_split(ramp_dataset) -> Split:
    return open_dataset(ramp_dataset).split("train")


@pytest.fixture(scope="session")
def damaged_split(tmp_path_factory) -> Split:
    """Photo 3 is garbage behind a JPEG's first bytes, the class map of photo 5 is cut off."""
    records = ramp_records(8)
    fields = {field: getattr(records[3], field) for field in ("id", "latlng")}
    records[3] = Record(image=b"\xff\xd8\xff" + bytes(500), **fields)
    fields = {field: getattr(records[5], field) for field in ("id", "image", "latlng")}
    records[5] = Record(segmentation=(records[5].segmentation or b"")[:60], **fields)
    directory = write_dataset(
        tmp_path_factory.mktemp("damaged"),
        "damaged",
        "1.0.0",
        {"train": lambda: records},
        ["wall"],
        {},
        "",
        "",
        shard_bytes=2_000,
    )
    return open_dataset(directory).split("train")
