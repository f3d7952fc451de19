"""One shard of a dataset -> the same records with other contents, whole or not at all."""

import json
import os
import uuid
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

from array_record.python.array_record_module import ArrayRecordReader, ArrayRecordWriter
from google.protobuf.message import DecodeError

from geosurge_jax.dataset.manifest import DatasetError, Shard
from geosurge_jax.dataset.shards import StoredRecord, finished_shard


class NewContent(Protocol):
    """What a record gets."""

    @property
    def size(self) -> int:
        """Bytes of what is new."""
        ...

    @property
    def problem(self) -> str:
        """Why there is nothing, "kind: detail"; empty = there is something."""
        ...

    @property
    def claim(self) -> str:
        """What no other record may have got its own from; empty = nothing."""
        ...

    def put_into(self, record: StoredRecord) -> bytes:
        """The record as it is stored from now on."""
        ...


@dataclass(frozen=True)
class NewMap:
    """The class map that a record gets; see `NewContent`.

    Attributes:
        content: A PNG, None = no map.
        problem: Why there is none, "kind: detail".
        claim: What no other record may have got its map from; empty = nothing.
    """

    content: bytes | None
    problem: str = ""
    claim: str = ""

    @property
    def size(self) -> int:
        """Bytes of the map."""
        return len(self.content or b"")

    def put_into(self, record: StoredRecord) -> bytes:
        """The record with the map."""
        return record.with_segmentation(self.content)


Change = Callable[[Iterator[StoredRecord]], Iterator[NewContent]]
"""Records of one shard -> what each gets, in order; may read ahead."""


@dataclass
class Counts:
    """What became of records.

    Attributes:
        made: Records that got something.
        made_bytes: Bytes of all that is new.
        without: Records that got nothing, by kind of problem.
    """

    made: int = 0
    made_bytes: int = 0
    without: dict[str, int] = field(default_factory=dict)

    def add(self, other: "Counts") -> None:
        """Add what another part counted."""
        self.made += other.made
        self.made_bytes += other.made_bytes
        self.without = dict(Counter(self.without) + Counter(other.without))


@dataclass(frozen=True)
class Note:
    """What is kept of a finished shard; as JSON it says that the shard is whole.

    Attributes:
        shard: The file.
        content_bytes: Of its records.
        counts: What became of them.
        claims: What its contents were got from -> the record.
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
        change: What records get.

    Returns:
        What is to be kept of it.

    Raises:
        ValueError: The old shard cannot be read, or two records claim the same.
    """
    part = workdir / f".part-{uuid.uuid4().hex}"
    counts, total = Counts(), 0
    claims: dict[str, str] = {}
    writer = ArrayRecordWriter(str(part), "group_size:1")
    try:
        for record, new in _changed(old, shard, change):
            content = new.put_into(record)
            writer.write(content)
            total += len(content)
            counts.add(_counted(new))
            claim_for(claims, new.claim, record.id)
            yield
    except BaseException:
        writer.close()
        part.unlink(missing_ok=True)
        raise
    writer.close()
    _sync(part)
    os.replace(part, path)
    return Note(finished_shard(path, shard.records), total, counts, claims)


def claim_for(claims: dict[str, str], claim: str, record: str) -> None:
    """Raises ValueError where another record claimed the same."""
    if claim and claims.setdefault(claim, record) != record:
        raise ValueError(f"{claim}: belongs to record {claims[claim]!r} and to {record!r}")


def write_whole(path: Path, text: str) -> None:
    """Write a file that is there either whole or not at all."""
    part = path.with_name(f".part-{uuid.uuid4().hex}")
    part.write_text(text)
    _sync(part)
    os.replace(part, path)


def _changed(path: Path, shard: Shard, change: Change) -> Iterator[tuple[StoredRecord, NewContent]]:
    """The records of a shard, each with what it gets."""
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
        raise RuntimeError(f"{path}: {made} contents for {shard.records} records")


def _counted(new: NewContent) -> Counts:
    if not new.problem:
        return Counts(made=1, made_bytes=new.size)
    return Counts(without={new.problem.partition(":")[0]: 1})


def _sync(path: Path) -> None:
    """Wait until a file is on the disk: what is said to be finished has to outlive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
