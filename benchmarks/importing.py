"""Generated photos in every shape through `python -m data.prepare`: the same bytes, photos a second, memory.

    python -m benchmarks.importing --photos 200000 --side 64
    python -m benchmarks.importing --photos 4000 --side 375 --shapes tree
    python -m benchmarks.importing --photos 50000 --damaged 0.01

Every import is a command of its own. Memory is the largest of its processes; the projection takes the rate of
this machine's processes as it is and is linear in photos and cores.

With `--damaged` each archive is imported a second time with such a share of every kind of trouble mixed in:
damaged and strange photos, hostile names, bombs, a table that went through a spreadsheet. The command fails
unless every good photo arrived at its place, everything else is in `rejected.csv` under its kind, and memory
stayed within `MEMORY_MARGIN_MB` of the clean import.
"""

import argparse
import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.photo_archives import SHAPES
from benchmarks.photo_collection import Collection, make_collection
from geosurge_jax.dataset.reader import open_dataset

ROOT = Path(__file__).resolve().parents[1]
MP16_PHOTOS = 4_720_000
MEMORY_MARGIN_MB = 64
"""What trouble may cost: the largest of it that is decoded has 8 MB of pixels, and bombs have none."""


_LAUNCHER = """
import resource, subprocess, sys
status = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss)
sys.exit(status)
"""
"""A process counts what it was forked from as memory of its own; so it is forked from a small one."""


class Cost(NamedTuple):
    """What an import took.

    Attributes:
        seconds: On the clock.
        processor_seconds: Of all processes; other work on the machine moves them less.
        megabytes: Of memory of the largest process.
    """

    seconds: float
    processor_seconds: float
    megabytes: float


def run_import(source: Path, table: Path, out: Path, flags: Sequence[str]) -> Cost:
    """Imports by a command of its own."""
    command = [sys.executable, "-m", "data.prepare", "mp16", "--source", str(source)]
    command += ["--table", str(table), "--out", str(out), *flags]
    began = time.perf_counter()
    launched = [sys.executable, "-c", _LAUNCHER, *command]
    process = subprocess.run(launched, cwd=ROOT, capture_output=True, text=True)
    if process.returncode:
        raise SystemExit(process.stderr)
    processor_seconds, kilobytes = process.stdout.split()
    return Cost(time.perf_counter() - began, float(processor_seconds), int(kilobytes) / 1000)


def digest(dataset: Path) -> str:
    """Of all shards of a dataset, by name."""
    total = hashlib.sha256()
    for path in sorted(dataset.glob("*.array_record-*")):
        total.update(path.name.encode() + path.read_bytes())
    return total.hexdigest()[:16]


class Runs:
    """Imports of collections, one line each, and what they have to agree in.

    Attributes:
        digests: Of the shards, by collection.
    """

    def __init__(self, root: Path, workers: int, repeats: int):
        self._root, self._workers, self._repeats = root, workers, repeats
        self.digests: dict[str, set[str]] = {}

    def __call__(self, name: str, collection: Collection, shape: str, beam: bool) -> float:
        """Imports a collection in one shape and returns the memory in MB.

        Raises:
            ValueError: What came of it is not what has to.
        """
        source, out = self._root / "source", self._root / "out"
        source.mkdir()
        SHAPES[shape](source, collection.stored(shape))
        costs = []
        for _ in range(self._repeats):
            shutil.rmtree(out, ignore_errors=True)
            costs.append(run_import(source, collection.table, out, self._flags(beam)))
        cost = Cost(*(statistics.median(values) for values in zip(*costs, strict=True)))
        (dataset,) = out.glob("mp16/*")
        self.digests.setdefault(name, set()).add(digest(dataset))
        manifest = open_dataset(dataset).manifest
        kept = sum(map(manifest.count, manifest.splits))
        members = sum(1 for _ in collection.of_shape(shape))
        rate = members / cost.seconds
        hours = MP16_PHOTOS / rate / 3600
        how = "beam" if beam else f"{self._workers} workers"
        arrived = f"{kept:>9,} of {members:>9,} photos"
        core = f"{1e3 * cost.processor_seconds / members:.2f} ms of a core each"
        ahead = f"4.72 M: {hours:.2f} h, on 64 cores {hours * self._workers / 64:.2f} h"
        print(
            f"{shape:13} {how:10} {name:8} {arrived} {cost.seconds:7.1f} s {rate:7,.0f} photos/s, {core}, "
            f"{cost.megabytes:,.0f} MB; {ahead}",
            flush=True,
        )
        kinds = collection.check(shape, dataset)
        if kinds:
            listed = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
            print(f"{'':13} rejected as expected: {listed}", flush=True)
        shutil.rmtree(source)
        shutil.rmtree(out)
        return cost.megabytes

    def _flags(self, beam: bool) -> list[str]:
        if not beam:
            return ["--workers", str(self._workers)]
        runner = ["--runner=DirectRunner", f"--direct_num_workers={self._workers}"]
        return ["--beam", "--", *runner, "--direct_running_mode=multi_processing"]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=200_000)
    parser.add_argument("--side", type=int, default=64, help="height of a photo in pixels")
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--beam", action="store_true", help="the first shape by Apache Beam too")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--repeats", type=int, default=1, help="imports of which it is the median")
    parser.add_argument("--damaged", type=float, default=0.0, metavar="SHARE", help="of each kind")
    given = parser.parse_args()
    shapes = given.shapes.split(",")
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        runs, failed = Runs(root, given.workers, given.repeats), False
        try:
            clean = make_collection(root / "clean", given.photos, given.side, 0)
            damaged = None
            if given.damaged:
                damaged = make_collection(root / "damaged", given.photos, given.side, given.damaged)
            for shape, beam in [(shape, False) for shape in shapes] + [
                (shapes[0], True)
            ] * given.beam:
                memory = runs("clean", clean, shape, beam)
                if damaged is None:
                    continue
                more = runs("damaged", damaged, shape, beam) - memory
                failed |= more > MEMORY_MARGIN_MB
                print(f"{'':13} memory: {more:+.0f} MB, {MEMORY_MARGIN_MB} at most", flush=True)
        except ValueError as error:
            raise SystemExit(f"FAILED: {error}") from None
    for name, digests in runs.digests.items():
        alike = len(digests) == 1
        failed |= not alike
        print(f"{name} shards: {'the same bytes' if alike else 'DIFFERENT'}, {sorted(digests)[0]}")
    if failed:
        raise SystemExit("FAILED: memory or bytes, see above")


if __name__ == "__main__":
    main()
