"""Training batches: infinite, resumable by one number, the same bits on any number of hosts.

Row r of batch k of size B stands at position k * B + r of the run. The position alone decides which
record it is (records are shuffled anew each epoch) and which generator augments it, so a process can
make any rows of a batch without the others, and a state `{"next_index": k}`, which counts batches,
means the same on any number of processes.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grain
import numpy as np

from geosurge_jax.input.bad_records import BadRecords
from geosurge_jax.input.dataset import Split
from geosurge_jax.input.examples import (
    Example,
    Targets,
    crop_pair,
    example,
    finish_batch,
    masked_example,
    read_record,
)
from geosurge_jax.input.geometry import Framing, random_resized_crop
from geosurge_jax.input.photometric import apply_colour, colour_transform, mean_colour

TrainBatches = grain.DatasetIterator
"""Host batches without end, with `get_state()`, `set_state()` and `close()`."""


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
    """

    crop_scale: tuple[float, float] = (0.66, 1.0)
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: bool = False
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    grayscale: float = 0.0

    def __post_init__(self):
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

    Args:
        split: The records.
        batch_size: Of the global batch.
        framing: Size and interpolation of the crops.
        augmentation: Geometry and colour noise.
        seed: Decides order and augmentation, together with the position in the run and nothing else.
        targets: Called with latlng float64 [B, 2] of each batch; its arrays join the batch.
        bad_records: Where unreadable records are reported.
        rows: Which rows of each global batch this process makes, in this order; None for all.
        threads: Batches that are made at a time; each is made by one thread.
        prefetch: Batches that are made ahead, and so held in memory.

    Returns:
        An iterator over host batches; B is the number of rows of this process:
        `image` uint8 [B, H, W, 3], `segmentation` uint8 [B, H, W], `latlng` float32 [B, 2],
        `index` int32 [B], `mask` float32 [B] (0 for unreadable records), `scene` int32 [B, 3] (of
        Places365's 3, 16 and 365), and the targets. `get_state()` and `set_state()` take
        `{"next_index": batches so far}`; call `close()` when done.

    Raises:
        ValueError: A batch without rows, or rows that lie outside of it.
        BadRecordsError: From `next()`, when too many records are unreadable.
    """
    rows = check_rows(rows, batch_size)
    augment = _augmenter(split, framing, augmentation, bad_records)
    order: Any = grain.MapDataset.range(len(split)).seed(seed).shuffle().repeat()

    def make(number: int) -> Example:
        positions = number * batch_size + rows
        examples = [augment(order[int(p)], _generator(seed, int(p))) for p in positions]
        batch = {key: np.stack([one[key] for one in examples]) for key in examples[0]}
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


def _generator(seed: int, position: int) -> np.random.Generator:
    """The generator of one example: Philox keyed by both numbers, so streams never overlap."""
    return np.random.Generator(np.random.Philox(key=np.array([seed, position], np.uint64)))


def _augmenter(
    split: Split, framing: Framing, augmentation: Augmentation, bad_records: BadRecords
) -> Callable[[int, np.random.Generator], Example]:
    """Read record `index` and augment it with a generator of its own."""

    def augment(index: int, generator: np.random.Generator) -> Example:
        record = read_record(split, int(index), bad_records)
        if record is None:
            return masked_example((framing.size, framing.size), int(index))
        height, width = record.pixels.shape[:2]
        box = random_resized_crop(
            generator, height, width, augmentation.crop_scale, augmentation.crop_ratio
        )
        mirrored = bool(generator.random() < 0.5) and augmentation.flip
        image, segmentation = crop_pair(record, box, mirrored, framing)
        if augmentation.changes_colour:
            matrix, offset = colour_transform(
                generator,
                mean_colour(image),
                brightness=augmentation.brightness,
                contrast=augmentation.contrast,
                saturation=augmentation.saturation,
                hue=augmentation.hue,
                grayscale=augmentation.grayscale,
            )
            image = apply_colour(image, matrix, offset)
        return example(image, segmentation, record, int(index))

    return augment
