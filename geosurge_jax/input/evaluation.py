"""Evaluation batches: finite, each photo once, the last batch filled up with mask 0."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import grain
import numpy as np

from geosurge_jax.dataset.reader import Split
from geosurge_jax.input.bad_records import BadRecords
from geosurge_jax.input.examples import (
    PADDING,
    DecodedRecord,
    Example,
    PhotoArrays,
    Targets,
    evaluation_views,
    example,
    finish_batch,
    masked_example,
    photo_arrays,
    read_record,
)
from geosurge_jax.input.geometry import Framing, evaluation_crops
from geosurge_jax.input.pipeline import check_rows
from geosurge_jax.input.stored_features import feature_example


@dataclass(frozen=True)
class Views:
    """How an evaluation looks at photos, and which part of them a process takes.

    Attributes:
        batch_size: Of the global batch.
        framing: How a photo is resized, and the size of a crop.
        crops: 1 (centre), 5 (corners and centre) or 10 (and mirrored).
        rows: Which rows of each global batch a process makes, in this order; None for all.
        threads: Threads that read and decode.
    """

    batch_size: int
    framing: Framing
    crops: int
    rows: Sequence[int] | np.ndarray | None = None
    threads: int = 4


@dataclass(frozen=True)
class EvaluationBatches:
    """A finite run over examples; every `iter()` starts anew, `len()` is the number of batches.

    All processes see the same number of batches. A batch is a host dict: `image` uint8
    [B, C, H, W, 3], `segmentation` uint8 [B, C, H, W], `latlng` float32 [B, 2], `index` int32 [B]
    (-1 for padding), `mask` float32 [B], `scene` int32 [B, 3], and the targets; C crops.
    """

    dataset: grain.MapDataset
    share: int
    finish: Callable[[Example], Example]
    threads: int

    def __len__(self) -> int:
        return len(self.dataset) // self.share

    def __iter__(self) -> Iterator[Example]:
        ahead = max(self.share, 2 * self.threads)
        options = grain.ReadOptions(num_threads=self.threads, prefetch_buffer_size=ahead)
        examples = self.dataset.to_iter_dataset(options)
        batches = iter(examples.batch(self.share, drop_remainder=True))
        try:
            for batch in batches:
                yield self.finish(batch)
        finally:
            batches.close()


def evaluation_batches(
    split: Split, views: Views, *, targets: Targets | None, bad_records: BadRecords
) -> EvaluationBatches:
    """Batches of every record of a split once, in record order.

    Records that hold features in place of photos give `pooled` [B, 1, D] and `tokens` [B, 1, P, D] in place
    of `image`.

    Args:
        split: The records.
        views: How photos are looked at and shared among processes.
        targets: Called with latlng float64 [B, 2] of each batch; its arrays join the batch.
        bad_records: Where unreadable records are reported.

    Raises:
        ValueError: Rows outside of the batch, another number of crops, or several where records hold
            features, which are of one view.
        BadRecordsError: While iterating, when too many records are unreadable.
    """
    features = split.features
    if features is None:

        def read(index: int) -> Example | None:
            return view_example(read_record(split, index, bad_records), views, index)
    else:
        if views.crops != 1:
            raise ValueError(
                f"config.evaluation.crops={views.crops}: expected 1, since the records of {split.name} hold "
                "features of one view of each photo"
            )

        def read(index: int) -> Example | None:
            return feature_example(split, features, index, bad_records)

    photo = photo_arrays(views.framing.size, features)
    return batches_of(len(split), read, photo, views, targets, bad_records)


def view_example(record: DecodedRecord | None, views: Views, index: int) -> Example | None:
    """The example of a photo with its crops; None where it could not be read."""
    if record is None:
        return None
    image, segmentation = evaluation_views(record, views.crops, views.framing)
    arrays = {"image": image, "segmentation": segmentation}
    return example(arrays, record.latlng, record.scene, index)


def batches_of(
    count: int,
    read: Callable[[int], Example | None],
    photo: PhotoArrays,
    views: Views,
    targets: Targets | None,
    bad_records: BadRecords,
) -> EvaluationBatches:
    """Batches of `count` examples that `read` gives by position; see `evaluation_batches`."""
    rows = check_rows(views.rows, views.batch_size)
    evaluation_crops(1, 1, views.crops, 1)  # refuses a protocol before any work is done

    def crop(index: int) -> Example:
        found = read(index) if index < count else None
        if found is None:
            return masked_example(photo, views.crops, index if index < count else PADDING)
        return found

    numbers = -(-count // views.batch_size)

    def crop_of(place: int) -> Example:
        number, row = divmod(int(place), len(rows))
        return crop(number * views.batch_size + int(rows[row]))

    dataset = grain.MapDataset.range(numbers * len(rows)).map(crop_of)
    return EvaluationBatches(
        dataset, len(rows), lambda batch: finish_batch(batch, targets, bad_records), views.threads
    )
