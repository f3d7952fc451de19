"""Generated photos in every shape through `python -m data.prepare`: the same bytes, photos a second, memory.

    python benchmarks/importing.py --photos 200000 --side 64
    python benchmarks/importing.py --photos 4000 --side 375 --shapes tree

Every import is a command of its own. Memory is the largest of its processes; the projection takes the rate of
this machine's processes as it is and is linear in photos and cores.
"""

import argparse
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgpack
import numpy as np
import simplejpeg
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
MP16_PHOTOS = 4_720_000
_SHARD_PHOTOS = 4096
_BASES = 64


def photos(count: int, side: int) -> Iterator[tuple[str, bytes]]:
    """Names and JPEGs of so many photos of 4 : 3, no two alike."""
    rng = np.random.default_rng(0)
    width = side * 4 // 3
    bases = []
    for _ in range(_BASES):
        coarse = Image.fromarray(rng.integers(0, 256, (24, 32, 3)).astype(np.uint8))
        bases.append(np.asarray(coarse.resize((width, side), Image.Resampling.BICUBIC)).copy())
    for number in range(count):
        pixels = bases[number % _BASES].copy()
        # A mark of the number's own, large enough to outlive the coding.
        for bit in range(20):
            row, column = divmod(bit, 5)
            value = 255 * (number >> bit & 1)
            pixels[8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = value
        content = simplejpeg.encode_jpeg(pixels, quality=88, colorspace="RGB")
        yield f"{number % 97:02x}/{number % 89:02x}/{number}.jpg", content


def write_table(path: Path, count: int) -> None:
    """MP-16's columns with places all over the Earth."""
    rng = np.random.default_rng(1)
    latitude = np.degrees(np.arcsin(rng.uniform(-1, 1, count)))
    longitude = rng.uniform(-180, 180, count)
    with path.open("w") as file:
        file.write("IMG_ID,AUTHOR,LAT,LON,S3_Label,S16_Label,S365_Label\n")
        for number in range(count):
            name = f"{number % 97:02x}/{number % 89:02x}/{number}.jpg"
            place = f"{latitude[number]:.6f},{longitude[number]:.6f}"
            file.write(f"{name},user{number % 7919},{place},{number % 3},{number % 16},-1\n")


def as_tree(folder: Path, members: Iterator[tuple[str, bytes]]) -> None:
    """`a/b/NAME.jpg`."""
    for name, content in members:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def as_message_pack(folder: Path, members: Iterator[tuple[str, bytes]]) -> None:
    """`shard_N.msg`."""
    file: io.BufferedWriter | None = None
    for number, (name, content) in enumerate(members):
        if number % _SHARD_PHOTOS == 0:
            if file:
                file.close()
            file = (folder / f"shard_{number // _SHARD_PHOTOS}.msg").open("wb")
        packed = msgpack.packb({"image": content, "id": name})
        assert file is not None and packed is not None
        file.write(packed)
    if file:
        file.close()


def as_tar(folder: Path, members: Iterator[tuple[str, bytes]]) -> None:
    """One tar."""
    with tarfile.open(folder / "mp-16-images.tar", "w") as tar:
        for name, content in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


def as_zip(folder: Path, members: Iterator[tuple[str, bytes]]) -> None:
    """One zip."""
    with zipfile.ZipFile(folder / "00.zip", "w") as packed:
        for name, content in members:
            packed.writestr(name, content)


SHAPES: Mapping[str, Callable[[Path, Iterator[tuple[str, bytes]]], None]] = {
    "tree": as_tree,
    "message-pack": as_message_pack,
    "tar": as_tar,
    "zip": as_zip,
}


def run_import(source: Path, table: Path, out: Path, flags: Sequence[str]) -> tuple[float, float]:
    """Imports; returns seconds and the largest process's memory in MB."""
    command = [sys.executable, "-m", "data.prepare", "mp16", "--source", str(source)]
    began = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--table", str(table), "--out", str(out), *flags],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(errors.decode())
    return time.perf_counter() - began, usage.ru_maxrss / 1000


def digest(out: Path) -> str:
    """Of all shards of a dataset, by name."""
    total = hashlib.sha256()
    for path in sorted((out / "mp16").glob("*/*.array_record-*")):
        total.update(path.name.encode() + path.read_bytes())
    return total.hexdigest()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=200_000)
    parser.add_argument("--side", type=int, default=64, help="height of a photo in pixels")
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--beam", action="store_true", help="the first shape by Apache Beam too")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    given = parser.parse_args()
    workers = given.workers
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_table(root / "table.csv", given.photos)
        runs = [(shape, ["--workers", str(workers)]) for shape in given.shapes.split(",")]
        if given.beam:
            beam = ["--runner=DirectRunner", f"--direct_num_workers={workers}"]
            beam.append("--direct_running_mode=multi_processing")
            runs.append((runs[0][0], ["--beam", "--", *beam]))
        digests = set()
        for shape, flags in runs:
            source, out = root / "source", root / "out"
            source.mkdir()
            SHAPES[shape](source, photos(given.photos, given.side))
            seconds, memory = run_import(source, root / "table.csv", out, flags)
            counts = json.loads(next(out.glob("mp16/*/import.json")).read_text())["photos"]
            digests.add(digest(out))
            rate = given.photos / seconds
            hours = MP16_PHOTOS / rate / 3600
            how = "beam" if "--beam" in flags else f"{workers} workers"
            ahead = f"4.72 M: {hours:.2f} h, on 64 cores {hours * workers / 64:.2f} h"
            print(
                f"{shape:13} {how:10} {sum(counts.values()):>9,} photos {seconds:7.1f} s "
                f"{rate:7,.0f} photos/s {memory:6,.0f} MB; {ahead}",
                flush=True,
            )
            shutil.rmtree(source)
            shutil.rmtree(out)
    print(
        f"shards: {'the same bytes' if len(digests) == 1 else 'DIFFERENT'}, {sorted(digests)[0][:16]}"
    )


if __name__ == "__main__":
    main()
