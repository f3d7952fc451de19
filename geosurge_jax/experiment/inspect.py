"""`--mode=inspect`: what a dataset holds, on one page, before anything is trained on it."""

import csv
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from geosurge_jax.dataset.reader import Dataset, Split
from geosurge_jax.dataset.record import SCENES, UNKNOWN_CLASS, UNKNOWN_SCENE
from geosurge_jax.evaluation.geocell_map import draw_photos
from geosurge_jax.evaluation.page import Picture, Section, write_page
from geosurge_jax.evaluation.sample_sheet import Sample, draw_samples
from geosurge_jax.evaluation.tables import Table
from geosurge_jax.experiment import assembly
from geosurge_jax.experiment.experiment_config import parse
from geosurge_jax.experiment.geography import make_geography
from geosurge_jax.geo import Hierarchy, cell_tokens
from geosurge_jax.input.bad_records import BadRecords
from geosurge_jax.input.examples import DecodedRecord, read_record
from geosurge_jax.input.geometry import WHOLE
from geosurge_jax.input.images import resize_crop
from geosurge_jax.models.palette import class_colours

REJECTED_FILE = "rejected.csv"

_LOOKED_AT = 2000
_SHOWN = 24
# Pixels of the longer side of a photo that is shown.
_THUMBNAIL = 512
# Mean difference between the channels, in steps of 256, below which a photo is grey.
_GREY = 2.0


def run(raw: Mapping[str, Any], root: Path) -> None:
    """Writes `inspect/report.md` and `inspect/report.html` in the workdir.

    Args:
        raw: the config file's mapping; its dataset is looked at.
        root: the workdir.

    Raises:
        ValueError: one line that names what is wrong with the config or the dataset.
    """
    config = parse(raw)
    dataset = assembly.open_run_dataset(config)
    dataset.check_photos("config.data.source")
    splits = {name: dataset.split(name) for name in dataset.manifest.splits}
    training = splits.get("train", next(iter(splits.values())))
    try:
        hierarchy, cells = make_geography(config, training.latlng).hierarchy, ""
    except ValueError as error:  # a benchmark has too few places for a training set's thresholds
        hierarchy, cells = None, f"No geocells of the config: {error}."
    looked_at = {name: _look_at(split) for name, split in splits.items()}
    maps = tuple(
        Picture(
            f"map-{name}.png",
            f"Where the photos of {name} were taken.",
            draw_photos(s.latlng, name),
        )
        for name, s in splits.items()
    )
    sheet = _sheet(training, looked_at[training.name], hierarchy, dataset)
    sections = [
        Section("Photos", (_counts(dataset, splits, hierarchy, cells), _looks(looked_at))),
        Section("Rejected when the dataset was made", (_rejected(dataset.directory),)),
        Section("Places", maps),
        Section(f"Photos of {training.name}", (sheet,)),
    ]
    directory = root / "inspect"
    directory.mkdir(parents=True, exist_ok=True)
    _, page = write_page(directory, f"Dataset {dataset.manifest.name}", sections)
    print(page)


@dataclass(frozen=True)
class Seen:
    """What is kept of a decoded record, so that memory does not grow with the number and size of photos.

    Attributes:
        short_side: of the photo, in pixels.
        grey: whether it has next to no colour.
        mapped: whether it has a segmentation map.
        scene: index of its coarse scene.
        shown: the record with a small photo and map; None for all but the first ones.
    """

    short_side: int
    grey: bool
    mapped: bool
    scene: int
    shown: DecodedRecord | None


# Records of a split by their index; None for those that cannot be read.
Looked = Mapping[int, Seen | None]


def _look_at(split: Split) -> Looked:
    """A random choice of records, the same one each time."""
    count = min(_LOOKED_AT, len(split))
    chosen = np.random.default_rng(0).choice(len(split), count, replace=False)
    bad = BadRecords(split.name, len(split), max_fraction=1.0)
    seen: dict[int, Seen | None] = {}
    shown = 0
    for index in chosen.tolist():
        record = read_record(split, index, bad)
        seen[index] = None if record is None else _summary(record, shown < _SHOWN)
        shown += record is not None
    return seen


def _summary(record: DecodedRecord, shown: bool) -> Seen:
    return Seen(
        short_side=min(record.pixels.shape[:2]),
        grey=_is_grey(record.pixels),
        mapped=bool(np.any(record.class_map != UNKNOWN_CLASS)),
        scene=record.scene[0],
        shown=_small(record) if shown else None,
    )


def _small(record: DecodedRecord) -> DecodedRecord:
    """A record with photo and map of at most `_THUMBNAIL` pixels a side, copied so that the large ones go."""
    pixels, classes = (
        array if max(array.shape[:2]) <= _THUMBNAIL else resize_crop(array, WHOLE, _fitted(array))
        for array in (record.pixels, record.class_map)
    )
    return DecodedRecord(pixels.copy(), classes.copy(), record.latlng, record.scene)


def _fitted(array: np.ndarray) -> tuple[int, int]:
    scale = _THUMBNAIL / max(array.shape[:2])
    return max(1, round(array.shape[0] * scale)), max(1, round(array.shape[1] * scale))


def _counts(
    dataset: Dataset, splits: Mapping[str, Split], hierarchy: Hierarchy | None, problem: str
) -> Table:
    rows = []
    for name, split in splits.items():
        rows.append(
            (
                name,
                f"{len(split):,}",
                f"{len(np.unique(split.latlng, axis=0)):,}",
                f"{len(split.shards):,}",
                f"{sum(shard.size for shard in split.shards) / 1e6:,.1f}",
                *_shares_in_cells(hierarchy, split.latlng),
            )
        )
    if hierarchy is not None:
        problem = (
            f"Geocells of the config: {', '.join(str(len(p.ids)) for p in hierarchy.partitions)}."
        )
    return Table(
        ("split", "photos", "places", "shards", "MB", "in a finest cell, %", "in no cell, %"),
        tuple(rows),
        (
            f"{dataset.manifest.description} Licence: {dataset.manifest.licence}",
            problem,
        ),
    )


def _shares_in_cells(hierarchy: Hierarchy | None, latlng: np.ndarray) -> tuple[str, str]:
    """Percent of photos in a finest cell, and in no cell of any level."""
    if hierarchy is None:
        return "", ""
    cells = hierarchy.assign(latlng)
    finest, none = np.mean(cells[:, -1] >= 0), np.mean((cells < 0).all(axis=1))
    return f"{100 * finest:.1f}", f"{100 * none:.1f}"


def _looks(looked_at: Mapping[str, Looked]) -> Table:
    rows = []
    for name, looked in looked_at.items():
        records = [seen for seen in looked.values() if seen is not None]
        share = 100 / max(len(records), 1)
        sides = [seen.short_side for seen in records]
        short = np.percentile(sides, (5, 50, 95)) if records else np.zeros(3)
        scenes = Counter(seen.scene for seen in records)
        rows.append(
            (
                name,
                f"{len(records):,}",
                f"{len(looked) - len(records):,}",
                " / ".join(f"{pixels:.0f}" for pixels in short),
                f"{share * sum(seen.grey for seen in records):.1f}",
                f"{share * sum(seen.mapped for seen in records):.1f}",
                " / ".join(f"{share * scenes[index]:.0f}" for index in range(len(SCENES))),
                f"{share * scenes[UNKNOWN_SCENE]:.0f}",
            )
        )
    header = ("split", "looked at", "unreadable", "short side, pixels", "grey, %", "with map, %")
    return Table(
        (*header, f"{', '.join(SCENES)}, %", "no scene, %"),
        tuple(rows),
        ("Of photos chosen at random; short side: 5th, 50th and 95th percentile.",),
    )


def _is_grey(pixels: np.ndarray) -> bool:
    small = pixels[::4, ::4].astype(np.int16)
    return bool(np.abs(small - np.roll(small, 1, axis=-1)).mean() < _GREY)


def _rejected(directory: Path) -> Table:
    """Kinds of rejections with an example of each."""
    path = directory / REJECTED_FILE
    kinds: Counter[str] = Counter()
    examples: dict[str, tuple[str, str]] = {}
    if path.is_file():
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                kind, _, detail = row["reason"].partition(":")
                kinds[kind] += 1
                examples.setdefault(kind, (row["id"] or row["file"], detail.strip()))
    rows = [(kind, *examples[kind], f"{count:,}") for kind, count in kinds.most_common()]
    note = f"All of them: {REJECTED_FILE} of the dataset." if rows else "No photo was rejected."
    return Table(("kind", "for example", "reason", "photos"), tuple(rows), (note,), text_columns=3)


def _sheet(split: Split, looked: Looked, hierarchy: Hierarchy | None, dataset: Dataset) -> Picture:
    samples = [
        _sample(split, index, seen.shown, hierarchy)
        for index, seen in looked.items()
        if seen is not None and seen.shown is not None
    ]
    classes = dataset.manifest.segmentation_classes
    caption = (
        "Photo and class map; above, place and finest geocell with its photos; below, the classes."
    )
    return Picture(
        "photos.png", caption, draw_samples(samples, class_colours(len(classes)), classes)
    )


def _sample(split: Split, index: int, record: DecodedRecord, hierarchy: Hierarchy | None) -> Sample:
    latitude, longitude = record.latlng
    where = "no finest cell"
    cell = -1 if hierarchy is None else int(hierarchy.assign(np.array([record.latlng]))[0, -1])
    if hierarchy is not None and cell >= 0:
        finest = hierarchy.partitions[-1]
        where = f"cell {cell_tokens(finest.ids[[cell]])[0]}, photos: {finest.counts[cell]:,}"
    name = split.records[index]["id"]
    return Sample(
        record.pixels, record.class_map, f"{name[-28:]}\n{latitude:.4f}, {longitude:.4f}\n{where}"
    )
