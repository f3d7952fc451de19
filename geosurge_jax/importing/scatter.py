"""One unit of an archive -> a chunk: photos joined with their rows, checked, stored as they will stay."""

from dataclasses import dataclass
from pathlib import Path

from geosurge_jax.dataset.record import Record
from geosurge_jax.dataset.shards import serialized
from geosurge_jax.importing.archives.contract import Archive, Member, Unit
from geosurge_jax.importing.archives.members import error_text
from geosurge_jax.importing.chunks import ChunkRecord, index_file, shuffled_order, write_chunk
from geosurge_jax.importing.folder_photos import stored_photo
from geosurge_jax.importing.image_checks import check_image
from geosurge_jax.importing.photo_rows import FoundRow, PhotoRow, PhotoRows, id_key, parse_row
from geosurge_jax.importing.row_values import RejectedRow, Rejection
from geosurge_jax.importing.table import recognised


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
            number, identity = 0, member.id
            try:
                if rows is None:
                    found = FoundRow(0, identity, id_key(identity), _own_row(member))
                else:
                    found = rows.find(member.ids)
                number, identity = found.row.number, found.identity
                if not member.problem:
                    records.append(self._record(found, member.content))
                    continue
                reason = member.problem
            except RejectedRow as error:
                reason = member.problem or str(error)
            except (
                Exception
            ) as error:  # decoders have many ways to fail; one image is not the import
                reason = f"unreadable file: {error_text(error)}"
            rejections.append(Rejection(number, identity, member.where, reason))
        write_chunk(self.chunks, unit.name, records, rejections)

    def _record(self, found: FoundRow, content: bytes) -> ChunkRecord:
        identity, row = found.identity, found.row
        image = check_image(content)
        record = Record(
            id=identity,
            image=stored_photo(content, self.short_side, self.quality, pixels=image.pixels),
            latlng=row.latlng,
            scene=row.scene,
            author=row.author,
            licence=row.licence,
        )
        return ChunkRecord(
            order=shuffled_order(self.seed, identity),
            key=found.key,
            identity=identity,
            outer=found.outer,
            author=row.author,
            content=image.content_hash,
            perceptual=image.perceptual_hash,
            latlng=row.latlng,
            serialized=serialized(record),
        )


def _own_row(member: Member) -> PhotoRow:
    """What the archive says of a photo itself."""
    columns = recognised(member.values)
    if "latitude" not in columns or "longitude" not in columns:
        raise RejectedRow("no position: neither a table nor the archive says where it was taken")
    return parse_row(0, {role: member.values[name] for role, name in columns.items()})
