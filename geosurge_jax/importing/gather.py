"""One planned shard -> its file, out of the chunks."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from array_record.python.array_record_module import ArrayRecordWriter

from geosurge_jax.dataset.manifest import Shard
from geosurge_jax.dataset.shards import finished_shard
from geosurge_jax.importing.chunks import records_file
from geosurge_jax.importing.files import replaced
from geosurge_jax.importing.plan import ShardPlan


@dataclass(frozen=True)
class Gather:
    """What every shard is written with; picklable, for workers.

    Attributes:
        chunks: Directory of the chunks.
        shards: Directory for the shards.
        notes: Directory for a note of each finished shard.
    """

    chunks: Path
    shards: Path
    notes: Path

    def __call__(self, plan: ShardPlan) -> None:
        """Writes a shard, unless it is there; its note is the last file."""
        if self._note(plan).exists():
            return
        files = [os.open(records_file(self.chunks, unit), os.O_RDONLY) for unit in plan.units]
        try:
            with replaced(self.shards / plan.file) as passing:
                writer = ArrayRecordWriter(str(passing), "group_size:1")
                places = zip(
                    plan.unit.tolist(), plan.offset.tolist(), plan.size.tolist(), strict=True
                )
                for unit, offset, size in places:
                    writer.write(os.pread(files[unit], size, offset))
                writer.close()
        finally:
            for file in files:
                os.close(file)
        shard = finished_shard(self.shards / plan.file, len(plan.unit))
        with replaced(self._note(plan)) as passing:
            passing.write_text(json.dumps(asdict(shard)))

    def finished(self, plan: ShardPlan) -> Shard:
        """What was noted of a shard that is written."""
        return Shard(**json.loads(self._note(plan).read_text()))

    def _note(self, plan: ShardPlan) -> Path:
        return self.notes / f"{plan.file}.json"
