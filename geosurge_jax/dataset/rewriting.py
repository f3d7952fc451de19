"""A finished dataset -> a new one whose records have other contents, shard by shard.

Each shard of the new dataset holds the records of one shard of the old one, in its order, and is finished for
itself: shards lie in a hidden folder beside the final one, a note beside each says that it is whole, and what
a killed process leaves is its unfinished shard alone. Several processes share the shards by their number; the
last one to finish describes the whole and renames the folder. The result is the same bytes in any case.
"""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from geosurge_jax.command_end import NothingDoneError
from geosurge_jax.dataset.directory import (
    check_name,
    finish_directory,
    finished_dataset,
    new_manifest,
    only_one,
    source_difference,
)
from geosurge_jax.dataset.manifest import DatasetError, FeatureColumns, Manifest, Shard, latlng_file
from geosurge_jax.dataset.reader import Dataset
from geosurge_jax.dataset.rewritten_shard import (
    Change,
    Counts,
    Note,
    claim_for,
    read_note,
    write_shard,
    write_whole,
)
from geosurge_jax.dataset.shards import WrittenSplit
from geosurge_jax.progress import track

_NOT_COPIED = ("manifest.json", "dataset_info.json", "features.json")


@dataclass(frozen=True)
class Result:
    """What a process did.

    Attributes:
        directory: Of the dataset.
        finished: Whether it is whole; if not, other processes have shards to write.
        counts: Over the whole dataset, or over what there is of it.
    """

    directory: Path
    finished: bool
    counts: Counts


@dataclass(frozen=True)
class Rewrite:
    """The making of one dataset from another.

    Attributes:
        dataset: The old one.
        out: Where datasets lie.
        name: Of the new one; its version is that of the old one.
        classes: Class names of its class maps in the order of their ids.
        source: JSON value that describes everything the new contents depend on.
        features: What its records hold in place of photos; None = photos.
        process: Which of the processes this is, from 0.
        processes: How many share the work.
    """

    dataset: Dataset
    out: Path
    name: str
    classes: Sequence[str]
    source: Any
    features: FeatureColumns | None = None
    process: int = 0
    processes: int = 1

    def __post_init__(self) -> None:
        """Raises ValueError where the name or the process is not valid."""
        check_name(self.name, self.manifest.version)
        if not 0 <= self.process < self.processes:
            raise ValueError(
                f"process {self.process} of {self.processes}: expected 0 to {self.processes - 1} "
                "(--process, --processes)"
            )

    @property
    def manifest(self) -> Manifest:
        """Of the old dataset."""
        return self.dataset.manifest

    @property
    def final(self) -> Path:
        """The new dataset's directory."""
        return self.out / self.name / self.manifest.version

    @property
    def hidden(self) -> Path:
        """Where it is made."""
        return self.final.parent / f".rewriting-{self.manifest.version}"

    @property
    def built(self) -> Path:
        """Its finished shards, and last all its files."""
        return self.hidden / self.manifest.version

    def shards(self) -> list[tuple[str, Shard]]:
        """Split and old shard of each shard, in the order by which processes share them."""
        return [(split, one) for split, shards in self.manifest.splits.items() for one in shards]

    def run(self, change: Change, description: str) -> Result:
        """Write the shards of this process that are not there yet, and finish where all are.

        Args:
            change: What records get.
            description: What is being done, for the progress bar.

        Raises:
            ValueError: A dataset or a beginning of another source is in the way, a shard cannot be
                read, two records claim the same, or no record got anything new.
        """
        self.final.parent.mkdir(parents=True, exist_ok=True)
        with only_one(self.final.parent):
            if finished_dataset(self.out, self.name, self.manifest.version, self.source):
                shutil.rmtree(self.hidden, ignore_errors=True)
                return Result(self.final, True, Counts())
            self._begin()
        own = self.shards()[self.process :: self.processes]
        left = [shard for _, shard in own if self._note(shard) is None]
        if left:
            work = self._write(left, change)
            for _ in track(work, description, sum(shard.records for shard in left)):
                pass
        return self._finish()

    def _begin(self) -> None:
        """Claim the hidden folder for this source, or see that it is claimed for it."""
        self.built.mkdir(parents=True, exist_ok=True)
        path, source = self.hidden / "source.json", json.loads(json.dumps(self.source))
        if not path.exists():
            write_whole(path, json.dumps(source))
        found = json.loads(path.read_text())
        if found != source:
            raise DatasetError(
                f"{self.hidden}: begun from another source ({source_difference(found, source)}); "
                "delete the directory, or choose another --out or --name"
            )

    def _write(self, shards: Iterable[Shard], change: Change) -> Iterator[None]:
        """Write shards one after the other, coming back after each record."""
        for shard in shards:
            file = f"{self.name}{shard.file.removeprefix(self.manifest.name)}"
            old = self.dataset.directory / shard.file
            note = yield from write_shard(old, shard, self.built / file, self.hidden, change)
            note.write(self._note_path(shard))

    def _note_path(self, shard: Shard) -> Path:
        return self.hidden / f"{shard.file}.json"

    def _note(self, shard: Shard) -> Note | None:
        """What is kept of a shard, None where it has to be written."""
        note = read_note(self._note_path(shard))
        if note is None:
            return None
        path = self.built / note.shard.file
        return note if path.is_file() and path.stat().st_size == note.shard.size else None

    def _finish(self) -> Result:
        """Describe the dataset and rename it where all shards are there."""
        with only_one(self.final.parent):
            if finished_dataset(self.out, self.name, self.manifest.version, self.source):
                return Result(self.final, True, Counts())
            notes = {(split, shard): self._note(shard) for split, shard in self.shards()}
            counts, claims = Counts(), {}
            for note in notes.values():
                counts.add(note.counts if note else Counts())
                for claim, record in (note.claims if note else {}).items():
                    claim_for(claims, claim, record)
            made = [(split, note) for (split, _), note in notes.items() if note]
            if len(made) < len(notes):
                return Result(self.final, False, counts)
            if not counts.made:
                shutil.rmtree(self.hidden, ignore_errors=True)
                why = ", ".join(f"{count} records: {why}" for why, count in counts.without.items())
                raise NothingDoneError(
                    f"{self.final}: nothing was written, since no record of {self.dataset.directory} got "
                    f"anything new ({why})"
                )
            self._describe(made)
            os.rename(self.built, self.final)
            shutil.rmtree(self.hidden, ignore_errors=True)
        return Result(self.final, True, counts)

    def _describe(self, notes: Sequence[tuple[str, Note]]) -> None:
        """Write all that lies beside the shards."""
        old = self.dataset.directory
        ours = {shard.file for _, shard in self.shards()} | {*_NOT_COPIED}
        for path in sorted(old.iterdir()):
            if path.is_file() and path.name not in ours and not path.name.startswith("."):
                shutil.copyfile(path, self.built / path.name)
        splits = {}
        for split in self.manifest.splits:
            found = [note for name, note in notes if name == split]
            splits[split] = WrittenSplit(
                tuple(note.shard for note in found),
                sum(note.content_bytes for note in found),
                np.load(old / latlng_file(split)),
            )
        manifest = new_manifest(
            self.name,
            self.manifest.version,
            self.classes,
            self.source,
            self.manifest.description,
            self.manifest.licence,
            self.features,
            self.manifest.summary,
        )
        finish_directory(self.built, manifest, splits)
