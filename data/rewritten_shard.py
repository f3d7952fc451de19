"""One shard of a dataset -> the same records with other class maps, whole or not at all."""

import json
import os
import uuid
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from array_record.python.array_record_module import ArrayRecordReader, ArrayRecordWriter
from google.protobuf.message import DecodeError

from data.shards import StoredRecord, finished_shard
from geosurge_jax.input.manifest import DatasetError, Shard


@dataclass(frozen=True)
class NewMap:
    """The class map that a record gets.

    Attributes:
        content: A PNG, None = no map.
        problem: Why there is none, "kind: detail".
        claim: What no other record may have got its map from; empty = nothing.
    """

    content: bytes | None
    problem: str = ""
    claim: str = ""


Change = Callable[[Iterator[StoredRecord]], Iterator[NewMap]]
"""Records of one shard -> the map of each, in order; may read ahead."""


@dataclass
class Counts:
    """What became of records.

    Attributes:
        maps: Records with a map.
        map_bytes: Bytes of all maps.
        without: Records without one by kind of problem.
    """

    maps: int = 0
    map_bytes: int = 0
    without: dict[str, int] = field(default_factory=dict)

    def add(self, other: "Counts") -> None:
        """Add what another part counted."""
        self.maps += other.maps
        self.map_bytes += other.map_bytes
        self.without = dict(Counter(self.without) + Counter(other.without))


@dataclass(frozen=True)
class Note:
    """What is kept of a finished shard; as JSON it says that the shard is whole.

    Attributes:
        shard: The file.
        content_bytes: Of its records.
        counts: What became of them.
        claims: What its maps were got from -> the record.
    """

    shard: Shard
    content_bytes: int
    counts: Counts
    claims: dict[str, str]

    def write(self, path: Path) -> None:
        """Write it, whole or not at all."""
        write_whole(path, json.dumps(asdict(self)))


def read_note(path: Path) -> Note | None:
    """What `Note.write` wrote, None where it did not yet."""
    if not path.exists():
        return None
    kept = json.loads(path.read_text())
    return Note(
        Shard(**kept["shard"]), kept["content_bytes"], Counts(**kept["counts"]), kept["claims"]
    )


def write_shard(
    old: Path, shard: Shard, path: Path, workdir: Path, change: Change
) -> Generator[None, None, Note]:
    """Write one shard, coming back after each record.

    Args:
        old: The shard that is read.
        shard: What its manifest says of it.
        path: The shard to write; it appears there once it is whole and on the disk.
        workdir: On the same disk, for what is not yet whole.
        change: The maps.

    Returns:
        What is to be kept of it.

    Raises:
        ValueError: The old shard cannot be read, or two records claim the same map.
    """
    part = workdir / f".part-{uuid.uuid4().hex}"
    counts, total = Counts(), 0
    claims: dict[str, str] = {}
    writer = ArrayRecordWriter(str(part), "group_size:1")
    try:
        for record, new in _changed(old, shard, change):
            content = record.with_segmentation(new.content)
            writer.write(content)
            total += len(content)
            counts.add(_counted(new))
            claim_map(claims, new.claim, record.id)
            yield
    except BaseException:
        writer.close()
        part.unlink(missing_ok=True)
        raise
    writer.close()
    _sync(part)
    os.replace(part, path)
    return Note(finished_shard(path, shard.records), total, counts, claims)


def claim_map(claims: dict[str, str], claim: str, record: str) -> None:
    """Raises ValueError where another record claimed the same."""
    if claim and claims.setdefault(claim, record) != record:
        raise ValueError(f"{claim}: is the map of record {claims[claim]!r} and of {record!r}")


def write_whole(path: Path, text: str) -> None:
    """Write a file that is there either whole or not at all."""
    part = path.with_name(f".part-{uuid.uuid4().hex}")
    part.write_text(text)
    _sync(part)
    os.replace(part, path)


def _changed(path: Path, shard: Shard, change: Change) -> Iterator[tuple[StoredRecord, NewMap]]:
    """The records of a shard, each with its new map."""
    waiting: deque[StoredRecord] = deque()

    def records() -> Iterator[StoredRecord]:
        try:
            reader = ArrayRecordReader(str(path))
            for _ in range(shard.records):
                waiting.append(StoredRecord(reader.read()))
                yield waiting[-1]
            reader.close()
        except (RuntimeError, IndexError, DecodeError) as error:
            reason = " ".join(str(error).split())
            raise DatasetError(f"{path}: cannot be read ({reason}) (--dataset)") from None

    made = 0
    for new in change(records()):
        yield waiting.popleft(), new
        made += 1
    if made != shard.records:
        raise RuntimeError(f"{path}: {made} maps for {shard.records} records")


def _counted(new: NewMap) -> Counts:
    if new.content is not None:
        return Counts(maps=1, map_bytes=len(new.content))
    return Counts(without={new.problem.partition(":")[0]: 1})


def _sync(path: Path) -> None:
    """Wait until a file is on the disk: what is said to be finished has to outlive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
