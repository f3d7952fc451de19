"""`--mode=inspect`: what a dataset holds, on one page, before anything is trained on it."""

import csv
from collections import Counter
from collections.abc import Mapping
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
from geosurge_jax.models.palette import class_colours

REJECTED_FILE = "rejected.csv"

_LOOKED_AT = 2000
_SHOWN = 24
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
    looked_at = {name: _decoded(split) for name, split in splits.items()}
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


Decoded = Mapping[int, DecodedRecord | None]
"""Records of a split by their index; None for those that cannot be read."""


def _decoded(split: Split) -> Decoded:
    """A random choice of records, the same one each time."""
    count = min(_LOOKED_AT, len(split))
    chosen = np.random.default_rng(0).choice(len(split), count, replace=False)
    bad = BadRecords(split.name, len(split), max_fraction=1.0)
    return {int(index): read_record(split, int(index), bad) for index in chosen}


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


def _looks(looked_at: Mapping[str, Decoded]) -> Table:
    rows = []
    for name, decoded in looked_at.items():
        records = [record for record in decoded.values() if record is not None]
        share = 100 / max(len(records), 1)
        sides = np.array([record.pixels.shape[:2] for record in records]).reshape(-1, 2)
        short = np.percentile(sides.min(axis=1), (5, 50, 95)) if records else np.zeros(3)
        scenes = Counter(record.scene[0] for record in records)
        rows.append(
            (
                name,
                f"{len(records):,}",
                f"{len(decoded) - len(records):,}",
                " / ".join(f"{pixels:.0f}" for pixels in short),
                f"{share * sum(_is_grey(record.pixels) for record in records):.1f}",
                f"{share * sum(_has_map(record) for record in records):.1f}",
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


def _has_map(record: DecodedRecord) -> bool:
    return bool(np.any(record.class_map != UNKNOWN_CLASS))


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


def _sheet(
    split: Split, decoded: Decoded, hierarchy: Hierarchy | None, dataset: Dataset
) -> Picture:
    readable = [(index, record) for index, record in decoded.items() if record is not None][:_SHOWN]
    samples = [_sample(split, index, record, hierarchy) for index, record in readable]
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
