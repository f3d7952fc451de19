"""Seconds of a prediction: the official GeoCLIP beside ours, and the demo model from its command.

    python -m benchmarks.predict geoclip --photo PHOTO --rounds 3
    python -m benchmarks.predict demo --model workdir/demo --photos FOLDER --count 1000

`geoclip` runs in the environment of `make parity`. It gives both sides the same random CLIP ViT-L/14, the
published head, location encoder and gallery, and all cores. The official `predict` encodes the gallery of
100,000 places at each call, ours once; both are timed in turn, so that other work of the machine slows both.

`demo` starts `geosurge predict` as a process of its own: for one photo, first with an empty cache of compiled
programs and then with a warm one, and for many photos. The seconds of a further photo are the difference of
the two warm runs, by photo.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def compare_with_official(photo: Path, rounds: int) -> None:
    """Times the official `predict` and ours in turn on one photo, and prints medians and their ratio."""
    import geoclip  # pyright: ignore[reportMissingImports]
    import torch  # pyright: ignore[reportMissingImports]

    from geosurge_jax import Predictor

    torch.manual_seed(0)
    official = geoclip.GeoCLIP(clip_pretrained=False).eval()
    with tempfile.TemporaryDirectory() as name:
        backbone = Path(name)
        official.image_encoder.CLIP.save_pretrained(backbone)
        official.image_encoder.image_processor.save_pretrained(backbone)
        began = time.perf_counter()
        wheel = Path(str(geoclip.__file__)).parent / "model"
        predictor = Predictor.from_pretrained(wheel, backbone=backbone, cache_dir=backbone)
        predictor.predict(photo)
        print(f"ours, opened and first photo, gallery encoded: {time.perf_counter() - began:.1f} s")
        theirs, ours = [], []
        for _ in range(rounds):
            began = time.perf_counter()
            places, _ = official.predict(str(photo), 5)
            theirs.append(time.perf_counter() - began)
            began = time.perf_counter()
            prediction = predictor.predict(photo)
            ours.append(time.perf_counter() - began)
            found = np.array([one.latlng for one in prediction.top(5)], np.float32)
            np.testing.assert_array_equal(found, places.numpy())
    official_s, ours_s = float(np.median(theirs)), float(np.median(ours))
    print(f"official predict {official_s:.2f} s, ours {ours_s:.2f} s: {ours_s / official_s:.3f}")


def time_command(model: Path, photos: Path, count: int) -> None:
    """Times the command on one photo and on many, with an empty cache and with a warm one."""
    sources = sorted(path for path in photos.rglob("*") if path.suffix == ".jpg")
    with tempfile.TemporaryDirectory() as name:
        folder, cache = Path(name) / "photos", Path(name) / "cache"
        folder.mkdir()
        for number in range(count):
            shutil.copyfile(sources[number % len(sources)], folder / f"{number:05d}.jpg")
        one = folder / "00000.jpg"
        rows = []
        for title, target in (
            ("one photo, empty cache", one),
            ("one photo, warm cache", one),
            ("one photo, warm cache", one),
            (f"{count} photos, bucket sizes compiled", folder),
            (f"{count} photos, warm cache", folder),
        ):
            began = time.perf_counter()
            run_command(model, target, cache)
            rows.append(time.perf_counter() - began)
            print(f"{title}: {rows[-1]:.2f} s")
        each = (rows[-1] - min(rows[1:3])) / (count - 1)
        print(f"a further photo: {1000 * each:.1f} ms")


def run_command(model: Path, target: Path, cache: Path) -> None:
    """Runs `geosurge predict` and checks that it answered."""
    command = [
        sys.executable,
        "-c",
        "from geosurge_jax.serving.command import main; main()",
        "predict",
        str(target),
    ]
    options = ["--model", str(model), "--cache-dir", str(cache), "--format", "csv"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, env=os.environ)
    if done.returncode or not done.stdout.count("\n"):
        sys.exit(f"exit code {done.returncode}: {done.stderr}")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.predict",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kinds = parser.add_subparsers(dest="kind", required=True)
    official = kinds.add_parser("geoclip", help="beside the official code")
    official.add_argument("--photo", type=Path, required=True)
    official.add_argument("--rounds", type=int, default=3)
    demo = kinds.add_parser("demo", help="the command with a small model")
    demo.add_argument("--model", type=Path, required=True)
    demo.add_argument("--photos", type=Path, required=True, help="a folder with JPEG files")
    demo.add_argument("--count", type=int, default=1000)
    given = parser.parse_args()
    if given.kind == "geoclip":
        compare_with_official(given.photo, given.rounds)
    else:
        time_command(given.model, given.photos, given.count)


if __name__ == "__main__":
    main()
