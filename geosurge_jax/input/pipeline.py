"""Training batches: infinite, resumable by one number, the same bits on any number of hosts.

Row r of batch k of size B stands at position k * B + r of the run. The position alone decides which
record it is (records are shuffled anew each epoch) and which generator augments it, so a process can
make any rows of a batch without the others, and a state `{"next_index": k}`, which counts batches,
means the same on any number of processes.
"""

import functools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import grain
import numpy as np

from geosurge_jax.dataset.reader import Split
from geosurge_jax.dataset.record import UNKNOWN_CLASS
from geosurge_jax.input.bad_records import BadRecords
from geosurge_jax.input.examples import (
    Example,
    Targets,
    finish_batch,
    masked_batch,
    open_record,
    photo_arrays,
    unless_damaged,
)
from geosurge_jax.input.geometry import Box, Framing, random_resized_crop
from geosurge_jax.input.images import Photo, resize_crop
from geosurge_jax.input.photometric import apply_colour, colour_transform, mean_colour
from geosurge_jax.input.resampling import check_resampling, photo_crop
from geosurge_jax.input.stored_features import fill_features

TrainBatches = grain.DatasetIterator
"""Host batches without end, with `get_state()`, `set_state()` and `close()`."""

_TOGETHER = 16
"""Records that are read before the first of them is decoded.

Between two photos, whose pixels push everything else out of the processor's caches, all that holds the
interpreter takes twice as long.
"""


@dataclass(frozen=True)
class Augmentation:
    """What happens to a training photo; the class map takes the same geometry.

    Attributes:
        crop_scale: Smallest and largest share of the photo's area.
        crop_ratio: Smallest and largest width / height of the crop.
        flip: Mirror half of the photos; reverses road signs and driving side.
        brightness: Strength of brightness noise, 0 = off.
        contrast: Strength of contrast noise, 0 = off.
        saturation: Strength of saturation noise, 0 = off.
        hue: Strength of hue noise in turns, 0 = off, 0.5 = any hue.
        grayscale: Probability that all colour goes.
        resampling: "exact" gives the crops that evaluation's decoder and resizer would give, "fast" nearly
            the same ones in less than half the time; see `resampling.py`. The boxes are the same.
    """

    crop_scale: tuple[float, float] = (0.66, 1.0)
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: bool = False
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    grayscale: float = 0.0
    resampling: str = "exact"

    def __post_init__(self):
        check_resampling(self.resampling)
        for name, (low, high), most in (
            ("crop_scale", self.crop_scale, 1.0),
            ("crop_ratio", self.crop_ratio, np.inf),
        ):
            if not 0 < low <= high <= most:
                raise ValueError(f"{name} ({low}, {high}), expected 0 < low <= high <= {most}")
        for name, value, most in (
            ("brightness", self.brightness, np.inf),
            ("contrast", self.contrast, np.inf),
            ("saturation", self.saturation, np.inf),
            ("hue", self.hue, 0.5),
            ("grayscale", self.grayscale, 1.0),
        ):
            if not 0 <= value <= most:
                raise ValueError(f"{name} {value}, expected 0 to {most}")

    @property
    def changes_colour(self) -> bool:
        """Whether any colour noise is on."""
        return any((self.brightness, self.contrast, self.saturation, self.hue, self.grayscale))


def train_batches(
    split: Split,
    *,
    batch_size: int,
    framing: Framing,
    augmentation: Augmentation,
    seed: int,
    targets: Targets | None,
    bad_records: BadRecords,
    rows: Sequence[int] | np.ndarray | None = None,
    threads: int = 4,
    prefetch: int = 4,
) -> TrainBatches:
    """Infinite training batches of this process, reshuffled and augmented anew each epoch.

    What it holds: `prefetch` batches of B * size * size * 4 bytes, the one handed out, and in each thread the
    encoded photos of 16 records and the pixels of one.

    Args:
        split: The records.
        batch_size: Of the global batch.
        framing: Size and interpolation of the crops.
        augmentation: Geometry and colour noise; none where records hold features in place of photos.
        seed: Decides order and augmentation, together with the position in the run and nothing else.
        targets: Called with latlng float64 [B, 2] of each batch; its arrays join the batch.
        bad_records: Where unreadable records are reported.
        rows: Which rows of each global batch this process makes, in this order; None for all.
        threads: Batches that are made at a time; each is made by one thread.
        prefetch: Batches that are made ahead, and so held in memory.

    Returns:
        An iterator over host batches; B is the number of rows of this process:
        `image` uint8 [B, H, W, 3] (of records with features `pooled` [B, D] and `tokens` [B, P, D]),
        `segmentation` uint8 [B, H, W], `latlng` float32 [B, 2],
        `index` int32 [B], `mask` float32 [B] (0 for unreadable records), `scene` int32 [B, 3] (of
        Places365's 3, 16 and 365), and the targets. `get_state()` and `set_state()` take
        `{"next_index": batches so far}`; call `close()` when done.

    Raises:
        ValueError: A batch without rows, or rows that lie outside of it.
        BadRecordsError: From `next()`, when too many records are unreadable.
    """
    rows = check_rows(rows, batch_size)
    order: Any = grain.MapDataset.range(len(split)).seed(seed).shuffle().repeat()

    def make(number: int) -> Example:
        batch = masked_batch(len(rows), photo_arrays(framing.size, split.features))
        positions = (number * batch_size + rows).tolist()
        for start in range(0, len(rows), _TOGETHER):
            part = positions[start : start + _TOGETHER]
            indexes = [int(order[position]) for position in part]
            if split.features is not None:
                fill_features(batch, start, indexes, split, split.features, bad_records)
                continue
            generators = [_generator(seed, position) for position in part]
            _fill(batch, start, indexes, generators, split, framing, augmentation, bad_records)
        return finish_batch(batch, targets, bad_records)

    # The numbers of all batches that the order has positions for: as good as without end.
    numbers = grain.MapDataset.range(sys.maxsize // batch_size)
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=prefetch)
    return iter(numbers.map(make).to_iter_dataset(options))


def check_rows(rows: Sequence[int] | np.ndarray | None, batch_size: int) -> np.ndarray:
    """The rows of a global batch that a process makes, int64 [B]; all where none are named.

    Raises:
        ValueError: No rows, or rows outside of the batch.
    """
    if batch_size < 1:
        raise ValueError(
            f"batch size {batch_size}, expected 1 or more "
            "(config.training.batch_size, config.evaluation.batch_size)"
        )
    if rows is None:
        return np.arange(batch_size)
    chosen = np.asarray(rows, np.int64)
    if chosen.ndim != 1 or not chosen.size or not 0 <= chosen.min() <= chosen.max() < batch_size:
        raise ValueError(f"rows {chosen.tolist()}, expected some of 0 to {batch_size - 1}")
    return chosen


class _Key(np.random.bit_generator.ISeedSequence):
    """What Philox takes as its key; by `key=` it would ask the system for randomness first, and drop it."""

    def __init__(self, seed: int, position: int):
        self._words = np.array([seed, position], np.uint64)

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> np.ndarray:
        return self._words


def _generator(seed: int, position: int) -> np.random.Generator:
    """The generator of one example: Philox keyed by both numbers, so streams never overlap."""
    key: Any = _Key(seed, position)  # NumPy's annotations know its own SeedSequence alone
    return np.random.Generator(np.random.Philox(key))


def _fill(
    batch: Example,
    start: int,
    indexes: Sequence[int],
    generators: Sequence[np.random.Generator],
    split: Split,
    framing: Framing,
    augmentation: Augmentation,
    bad_records: BadRecords,
) -> None:
    """Augment records, each with a generator of its own, into the rows of a batch from `start` on."""
    records = [open_record(split, index, bad_records) for index in indexes]
    views = [
        _draw_view(generator, record.photo, augmentation) if record is not None else None
        for generator, record in zip(generators, records, strict=True)
    ]
    batch["index"][start : start + len(indexes)] = indexes
    # All maps before the first photo's pixels, for the reason that `_TOGETHER` gives.
    for row, (record, view) in enumerate(zip(records, views, strict=True), start):
        if record is not None and view is not None:
            classes = resize_crop(record.class_map, view.box, (framing.size, framing.size))
            _put(batch["segmentation"][row], classes, view.mirrored)
    for row, (index, record, view) in enumerate(zip(indexes, records, views, strict=True), start):
        if record is None or view is None:
            continue
        crop = functools.partial(_augmented, record.photo, view, framing, augmentation)
        image = unless_damaged(split, index, bad_records, crop)
        if image is None:
            batch["segmentation"][row] = UNKNOWN_CLASS
            continue
        _put(batch["image"][row], image, view.mirrored)
        batch["latlng"][row], batch["scene"][row] = record.latlng, record.scene
        batch["mask"][row] = 1


class _View(NamedTuple):
    """What is drawn for one photo before its pixels are known, and the generator for the rest."""

    box: Box
    mirrored: bool
    generator: np.random.Generator


def _draw_view(generator: np.random.Generator, photo: Photo, augmentation: Augmentation) -> _View:
    box = random_resized_crop(
        generator, photo.height, photo.width, augmentation.crop_scale, augmentation.crop_ratio
    )
    return _View(box, bool(generator.random() < 0.5) and augmentation.flip, generator)


def _augmented(
    photo: Photo, view: _View, framing: Framing, augmentation: Augmentation
) -> np.ndarray:
    """The crop with its colour noise, not mirrored, uint8 [size, size, 3]."""
    image = photo_crop(
        photo, view.box, framing.size, framing.interpolation, augmentation.resampling
    )
    if not augmentation.changes_colour:
        return image
    matrix, offset = colour_transform(
        view.generator,
        mean_colour(image),
        brightness=augmentation.brightness,
        contrast=augmentation.contrast,
        saturation=augmentation.saturation,
        hue=augmentation.hue,
        grayscale=augmentation.grayscale,
    )
    return apply_colour(image, matrix, offset)


def _put(place: np.ndarray, pixels: np.ndarray, mirrored: bool) -> None:
    """Copy [H, W, C] or [H, W] into its place in a batch."""
    if not mirrored:
        place[...] = pixels
    elif pixels.ndim == 2:
        place[...] = pixels[:, ::-1]
    else:
        for channel in range(pixels.shape[-1]):  # NumPy reverses pixels of several channels slowly
            place[..., channel] = pixels[:, ::-1, channel]
