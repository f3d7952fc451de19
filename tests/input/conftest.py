import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geosurge_jax.dataset.reader import Split, open_dataset
from geosurge_jax.dataset.record import Record
from geosurge_jax.dataset.writer import write_dataset


def encoded(pixels: np.ndarray, form: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, **options)
    return file.getvalue()


def ramp(height: int, width: int) -> np.ndarray:
    """Red tells the relative column, green the relative row."""
    x, y = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = np.round(255 * x)[None, :]
    pixels[..., 1] = np.round(255 * y)[:, None]
    return pixels


def column_map(height: int, width: int) -> np.ndarray:
    """The class tells the relative column, in steps of 1 / 100."""
    x = (np.arange(width) + 0.5) / width
    return np.tile(np.floor(100 * x).astype(np.uint8), (height, 1))


def ramp_records(count: int) -> list[Record]:
    return [
        Record(
            id=f"photo {i}",
            image=encoded(ramp(40 + i, 60 - i)),
            latlng=(1 / 3 + i, 100 + i / 7),
            segmentation=encoded(column_map(31, 100)) if i % 2 else None,
            scene=(i % 3 - 1, i % 16, 364 - i),
            author=f"Zoë {i}",
            licence="CC0",
        )
        for i in range(count)
    ]


@pytest.fixture(scope="session")
def ramp_dataset(tmp_path_factory) -> Path:
    records = ramp_records(21)
    return write_dataset(
        tmp_path_factory.mktemp("datasets"),
        "ramps",
        "1.0.0",
        {"train": lambda: records[:16], "test": lambda: records[16:]},
        ["wall", "sky"],
        {"made": "by hand"},
        "Ramps.",
        "CC0",
        shard_bytes=2_000,
    )


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
