"""Photos a second that the input pipeline makes on this machine, beside PyTorch's usual way.

    python -m benchmarks.input [--photos 1024] [--sizes 224,336] [--rounds 3] [--seconds 8] [--out FILE.json]

Each photo is a JPEG of 500 x 375 pixels of about 56 kB with a class map of 224 x 168 pixels; what is timed is
reading, decoding, a random crop of both by the same box (8 to 100 % of the area, as Inception's), bicubic and
nearest resizing, and a batch. Photos are generated: the amplitude of a natural scene's spectrum falls with
frequency (Field 1987), random phases. Ways, one process after another, all of them in each round:

    ours, fast    train_batches with resampling "fast", as many threads as cores
    ours, exact   the same with resampling "exact"
    no pixels     ours without decoding and resizing photos, on one thread: what holds the interpreter, and so
                  the most that the threads of one process make together, whatever its cores
    torch         DataLoader with as many worker processes as cores; Pillow decodes and resizes files; only
                  where torch is installed (requirements-parity.txt)

Ours shuffles as many records as a training set has, of which the photos are few and come again.

Seconds of the processor are those of the way's own process and its workers, start left out, so that photos a
core second do not depend on what else runs here. Peak memory is what the process holds beyond what it held
before the first batch. At the end: the cores that hosts need whose chips take --chip_rate photos a second.
"""

import argparse
import importlib.util
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from geosurge_jax.dataset.reader import RecordSource, open_dataset
from geosurge_jax.dataset.record import Record
from geosurge_jax.dataset.writer import write_dataset
from geosurge_jax.input import pipeline
from geosurge_jax.input.bad_records import BadRecords
from geosurge_jax.input.geometry import Framing, random_resized_crop
from geosurge_jax.input.pipeline import Augmentation, train_batches
from geosurge_jax.input.plain_png import write_plain_png

HEIGHT, WIDTH, MAP_HEIGHT, MAP_WIDTH = 375, 500, 168, 224
JPEG_QUALITY, CONTRAST = 90, 13.5  # together about 56 kB
DISTINCT = 64
LISTED = 4_723_695  # the photos of MP-16: Grain shuffles less than 65,536 by more tries a position
SCALE, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)
BATCH = 64
WAYS = ("ours, fast", "ours, exact", "no pixels", "torch")


def scene(rng: np.random.Generator) -> tuple[bytes, bytes]:
    """One photo as JPEG and its class map as PNG."""
    frequency = np.hypot(np.fft.fftfreq(HEIGHT)[:, None], np.fft.rfftfreq(WIDTH)[None])
    frequency[0, 0] = 1

    def field(steepness: float) -> np.ndarray:
        phases = np.exp(2j * np.pi * rng.random(frequency.shape))
        values = np.fft.irfft2(phases / frequency**steepness, s=(HEIGHT, WIDTH))
        return values / values.std()

    light = field(1.0)
    pixels = 128 + CONTRAST * np.stack([light + 0.4 * field(1.3) for _ in range(3)], axis=-1)
    parts = np.argmax([field(2.0) for _ in range(8)], axis=0).astype(np.uint8)
    small = Image.fromarray(parts * 17).resize((MAP_WIDTH, MAP_HEIGHT), Image.Resampling.NEAREST)
    return (
        _encoded(
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)), "JPEG", quality=JPEG_QUALITY
        ),
        write_plain_png(np.asarray(small)),
    )


def _encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def write_photos(directory: Path, count: int) -> None:
    """The same photos as records in shards, and as files for torch."""
    rng = np.random.default_rng(0)
    scenes = [scene(rng) for _ in range(min(count, DISTINCT))]
    for number in range(count):
        photo, classes = scenes[number % len(scenes)]
        (directory / f"{number}.jpg").write_bytes(photo)
        (directory / f"{number}.png").write_bytes(classes)

    def records() -> Iterable[Record]:
        for number in range(count):
            photo, classes = scenes[number % len(scenes)]
            yield Record(f"{number}", photo, (0.0, 0.0), classes)

    write_dataset(
        directory, "photos", "1.0.0", {"train": records}, ["a"], {}, "Generated.", "CC0-1.0"
    )
    print(f"{count} photos of {np.mean([len(photo) for photo, _ in scenes]) / 1000:.1f} kB each")


class Repeated(RecordSource):
    """The records of a small split in turn, as many as a training set has."""

    def __init__(self, records: RecordSource):
        self._records = records

    def __len__(self) -> int:
        return LISTED

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self._records[index % len(self._records)]


def our_batches(directory: Path, size: int, cores: int, resampling: str) -> Iterator[Any]:
    """Batches of the package's own pipeline."""
    stored = open_dataset(directory / "photos" / "1.0.0").split("train")
    split = replace(stored, records=Repeated(stored.records))
    yield from train_batches(
        split,
        batch_size=BATCH,
        framing=Framing(size),
        augmentation=Augmentation(SCALE, RATIO, resampling=resampling),
        seed=0,
        targets=None,
        bad_records=BadRecords("train", len(split), 0.0),
        threads=cores,
        prefetch=2 * cores,
    )


def torch_batches(directory: Path, size: int, cores: int) -> Iterator[Any]:
    """Batches of PyTorch's loader: the same crops by Pillow, in worker processes."""
    import torch  # pyright: ignore[reportMissingImports]
    from torch.utils.data import DataLoader, Dataset  # pyright: ignore[reportMissingImports]

    count = len(list(directory.glob("*.jpg")))

    class Photos(Dataset):
        def __len__(self) -> int:
            return count

        def __getitem__(self, index: int) -> tuple[Any, Any]:
            rng = np.random.default_rng()
            photo = Image.open(directory / f"{index}.jpg").convert("RGB")
            box = random_resized_crop(rng, photo.height, photo.width, SCALE, RATIO)
            crops = []
            for image, resample in (
                (photo, Image.Resampling.BICUBIC),
                (Image.open(directory / f"{index}.png"), Image.Resampling.NEAREST),
            ):
                across, down = (box.left, box.right), (box.top, box.bottom)
                left, right = (share * image.width for share in across)
                top, bottom = (share * image.height for share in down)
                edges = (left, top, min(right, image.width), min(bottom, image.height))
                crops.append(
                    torch.from_numpy(np.array(image.resize((size, size), resample, edges)))
                )
            return crops[0], crops[1]

    loader = DataLoader(
        Photos(),
        BATCH,
        shuffle=True,
        num_workers=cores,
        drop_last=True,
        prefetch_factor=2,
        persistent_workers=True,
    )
    while True:
        yield from loader


def held_bytes(what: str) -> int:
    """VmRSS or VmHWM, memory that this process holds or held at most."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(what):
            return int(line.split()[1]) * 1024
    raise ValueError(f"no {what} in /proc/self/status, expected Linux")


def core_seconds() -> float:
    """Processor time of this process and of its workers."""
    total = 0.0
    for stat in [Path("/proc/self/stat"), *_workers()]:
        fields = stat.read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def _workers() -> list[Path]:
    found = []
    for task in Path("/proc/self/task").iterdir():
        found += [Path(f"/proc/{pid}/stat") for pid in (task / "children").read_text().split()]
    return found


def measure(directory: Path, way: str, size: int, cores: int, seconds: float) -> dict[str, float]:
    """Runs one way in this process for so many seconds after a warm-up."""
    if way == "torch":
        batches = torch_batches(directory, size, cores)
    else:
        resampling = "exact" if way == "ours, exact" else "fast"
        if way == "no pixels":
            blank, cores = np.zeros((size, size, 3), np.uint8), 1
            pipeline.photo_crop = lambda *_: blank
        batches = our_batches(directory, size, cores, resampling)
    before = held_bytes("VmRSS")
    for _ in range(2 * cores):
        next(batches)
    photos, began, began_cores = 0, time.perf_counter(), core_seconds()
    while time.perf_counter() - began < seconds:
        next(batches)
        photos += BATCH
    wall, used = time.perf_counter() - began, core_seconds() - began_cores
    own = held_bytes("VmHWM") - before
    return {"photos_per_second": photos / wall, "photos_per_core": photos / used, "own_bytes": own}


def in_its_own_process(*measured: Any) -> dict[str, float]:
    """`measure` in a process that has held nothing yet."""
    command = [sys.executable, "-m", "benchmarks.input", "--measure", json.dumps(measured)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def needs(rates: dict[int, float], hosts: Iterable[tuple[str, int, float]]) -> Iterator[str]:
    """Rows of a table: cores that the chips of a host need, by the photos that a core makes a second."""
    for name, chips, rate in hosts:
        cores = ", ".join(f"{chips * rate / made:.1f} at {size}" for size, made in rates.items())
        yield f"| {name} | {chips} x {rate:.0f} | {cores} |"


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=1024)
    parser.add_argument("--sizes", default="224,336")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--tpu_rate", type=float, default=276, help="photos a v5e chip a second")
    parser.add_argument("--gpu_rate", type=float, default=1388, help="photos a GPU a second")
    parser.add_argument("--out", default="", help="JSON file for the figures")
    parser.add_argument("--measure", default="", help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.measure:
        directory, *measured = json.loads(flags.measure)
        print(json.dumps(measure(Path(directory), *measured)))
        return
    ways = [way for way in WAYS if way != "torch" or importlib.util.find_spec("torch")]
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as directory:
        write_photos(Path(directory), flags.photos)
        for number in range(flags.rounds):
            for size in (int(side) for side in flags.sizes.split(",")):
                for way in ways:
                    found = in_its_own_process(directory, way, size, flags.cores, flags.seconds)
                    load = os.getloadavg()[0]
                    rows.append({"round": number, "size": size, "way": way, "load": load, **found})
                    if flags.out:
                        Path(flags.out).write_text(json.dumps(rows, indent=2) + "\n")
    report(rows, flags.cores, (("v5e-8", 8, flags.tpu_rate), ("8 GPUs", 8, flags.gpu_rate)))


def report(rows: list[dict[str, Any]], cores: int, hosts: Iterable[tuple[str, int, float]]) -> None:
    """Prints medians, ranges, and what hosts need."""
    loads = [row["load"] for row in rows]
    print(f"{cores} cores, load {min(loads):.1f} to {max(loads):.1f}; median (least to most)")
    print("| size | way | photos/s | photos a core second | own peak MB |\n|---|---|---|---|---|")
    rates: dict[int, float] = {}
    for size in dict.fromkeys(row["size"] for row in rows):
        for way in dict.fromkeys(row["way"] for row in rows):
            found = [row for row in rows if (row["size"], row["way"]) == (size, way)]
            cells = [
                f"{np.median(values):.0f} ({min(values):.0f} to {max(values):.0f})"
                for name in ("photos_per_second", "photos_per_core")
                for values in [[row[name] for row in found]]
            ]
            own = "" if way == "torch" else f"{max(row['own_bytes'] for row in found) / 1e6:.0f}"
            print(f"| {size} | {way} | {' | '.join(cells)} | {own} |")
            if way == WAYS[0]:
                rates[size] = float(np.median([row["photos_per_core"] for row in found]))
    print("\n| host | photos/s its chips take | cores |\n|---|---|---|")
    print("\n".join(needs(rates, hosts)))


if __name__ == "__main__":
    main()
