"""Images whose colours tell rows and columns apart, as records and as a dataset."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

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


def write_ramps(folder: Path) -> Path:
    records = ramp_records(21)
    return write_dataset(
        folder,
        "ramps",
        "1.0.0",
        {"train": lambda: records[:16], "test": lambda: records[16:]},
        ["wall", "sky"],
        {"made": "by hand"},
        "Ramps.",
        "CC0",
        shard_bytes=2_000,
    )
