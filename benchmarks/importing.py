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
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.photo_archives import SHAPES
from benchmarks.photo_collection import Collection, make_collection

ROOT = Path(__file__).resolve().parents[1]
MP16_PHOTOS = 4_720_000
MEMORY_MARGIN_MB = 64
"""What trouble may cost: the largest of it that is decoded has 8 MB of pixels, and bombs have none."""


_LAUNCHER = """
import resource, subprocess, sys
status = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(status)
"""
"""A process counts what it was forked from as memory of its own; so it is forked from a small one."""


def run_import(source: Path, table: Path, out: Path, flags: Sequence[str]) -> tuple[float, float]:
    """Imports; returns seconds and the largest process's memory in MB."""
    command = [sys.executable, "-m", "data.prepare", "mp16", "--source", str(source)]
    command += ["--table", str(table), "--out", str(out), *flags]
    began = time.perf_counter()
    launched = [sys.executable, "-c", _LAUNCHER, *command]
    process = subprocess.run(launched, cwd=ROOT, capture_output=True, text=True)
    if process.returncode:
        raise SystemExit(process.stderr)
    return time.perf_counter() - began, int(process.stdout) / 1000


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
        results = []
        for _ in range(self._repeats):
            shutil.rmtree(out, ignore_errors=True)
            results.append(run_import(source, collection.table, out, self._flags(beam)))
        seconds, memory = (statistics.median(values) for values in zip(*results, strict=True))
        (dataset,) = out.glob("mp16/*")
        self.digests.setdefault(name, set()).add(digest(dataset))
        counts = json.loads((dataset / "import.json").read_text())["photos"]
        members = sum(1 for _ in collection.of_shape(shape))
        rate = members / seconds
        hours = MP16_PHOTOS / rate / 3600
        how = "beam" if beam else f"{self._workers} workers"
        print(
            f"{shape:13} {how:10} {name:8} {sum(counts.values()):>9,} of {members:>9,} photos "
            f"{seconds:7.1f} s {rate:7,.0f} photos/s {memory:6,.0f} MB; 4.72 M: {hours:.2f} h, on 64 cores "
            f"{hours * self._workers / 64:.2f} h",
            flush=True,
        )
        kinds = collection.check(shape, dataset)
        if kinds:
            listed = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
            print(f"{'':13} rejected as expected: {listed}", flush=True)
        shutil.rmtree(source)
        shutil.rmtree(out)
        return memory

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
        clean = make_collection(root / "clean", given.photos, given.side, 0)
        damaged = None
        if given.damaged:
            damaged = make_collection(root / "damaged", given.photos, given.side, given.damaged)
        runs, failed = Runs(root, given.workers, given.repeats), False
        try:
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
