"""One unit of an archive -> a chunk: photos joined with their rows, checked, stored as they will stay."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from geosurge_jax.dataset.record import Record
from geosurge_jax.dataset.shards import serialized
from geosurge_jax.importing.archives.contract import Archive, Member, Unit
from geosurge_jax.importing.chunks import ChunkRecord, index_file, shuffled_order, write_chunk
from geosurge_jax.importing.folder_photos import stored_photo
from geosurge_jax.importing.photo_rows import PhotoRow, PhotoRows, id_key, parse_row
from geosurge_jax.importing.row_values import RejectedRow, Rejection
from geosurge_jax.importing.table import recognised
from geosurge_jax.input.images import ImageDecodeError, decode_image

SMALLEST_SIDE = 32
"""Pixels; a smaller picture shows no place."""

LARGEST_ASPECT = 20
"""Long side over short side; a more extreme picture is a banner or a mistake."""


@dataclass(frozen=True)
class Scatter:
    """What every unit is treated with; picklable, for workers.

    Attributes:
        archive: Where photos come from.
        rows: Directory of `PhotoRows`; None = the archive itself says where photos were taken.
        chunks: Directory for the chunks.
        seed: Of the global shuffle.
        short_side: Of a stored photo at most, in pixels; None = as it is.
        quality: Of JPEGs that are coded anew.
    """

    archive: Archive
    rows: Path | None
    chunks: Path
    seed: int
    short_side: int | None
    quality: int

    def __call__(self, unit: Unit) -> None:
        """Makes the chunk of a unit, unless it is there."""
        if index_file(self.chunks, unit.name).exists():
            return
        rows = None if self.rows is None else PhotoRows(self.rows)
        records, rejections = [], []
        for member in self.archive.read(unit):
            number, identity, outer = 0, member.id, 0
            try:
                if rows is None:
                    row = _own_row(member)
                else:
                    outer, identity, row = rows.find(member.ids)
                number = row.number
                records.append(self._record(identity, outer, member.content, row))
            except RejectedRow as error:
                reason = member.problem or str(error)
                rejections.append(Rejection(number, identity, member.where, reason))
        write_chunk(self.chunks, unit.name, records, rejections)

    def _record(self, identity: str, outer: int, content: bytes, row: PhotoRow) -> ChunkRecord:
        record = Record(
            id=identity,
            image=checked_photo(content, self.short_side, self.quality),
            latlng=row.latlng,
            scene=row.scene,
            author=row.author,
            licence=row.licence,
        )
        digest = hashlib.blake2b(content, digest_size=8).digest()
        return ChunkRecord(
            order=shuffled_order(self.seed, identity),
            key=id_key(identity),
            identity=identity,
            outer=outer,
            author=row.author,
            content=int.from_bytes(digest, "big"),
            latlng=row.latlng,
            serialized=serialized(record),
        )


def checked_photo(content: bytes, short_side: int | None, quality: int) -> bytes:
    """A photo as it is stored; see `stored_photo`.

    Raises:
        RejectedRow: It cannot be decoded whole, or is too small or too long to be a photo.
    """
    try:
        pixels = decode_image(content)
    except ImageDecodeError as error:
        raise RejectedRow(f"unreadable image: {error}") from None
    height, width = pixels.shape[:2]
    if min(height, width) < SMALLEST_SIDE:
        raise RejectedRow(f"too small: {width} x {height} pixels, expected {SMALLEST_SIDE} or more")
    if max(height, width) > LARGEST_ASPECT * min(height, width):
        raise RejectedRow(
            f"extreme shape: {width} x {height} pixels, expected at most {LARGEST_ASPECT} to 1"
        )
    return stored_photo(content, short_side, quality, pixels=pixels)


def _own_row(member: Member) -> PhotoRow:
    """What the archive says of a photo itself."""
    columns = recognised(member.values)
    if "latitude" not in columns or "longitude" not in columns:
        raise RejectedRow("no position: neither a table nor the archive says where it was taken")
    return parse_row(0, {role: member.values[name] for role, name in columns.items()})
