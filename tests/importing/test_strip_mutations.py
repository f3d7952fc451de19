"""No metadata survives, whatever was done to the structure of the file."""

import shutil
import subprocess
from collections import Counter

import numpy as np
import pytest

from geosurge_jax.importing.folder_photos import stored_photo
from geosurge_jax.importing.metadata_marks import find_metadata
from geosurge_jax.input.images import ImageDecodeError, decode_image
from tests.importing.planted_metadata import MAKERS, leaks, mutant

# Pillow warns about mutated lists of second pictures, and decodes the first one.
pytestmark = pytest.mark.filterwarnings("ignore:Image appears to be a malformed MPO")


def check(form: str, seed: int) -> tuple[str, bytes]:
    """Store one mutant; return what became of it, and the stored bytes."""
    content = mutant(form, np.random.default_rng(seed))
    try:
        pixels = decode_image(content)
    except ImageDecodeError:
        return "undecodable", b""
    stored = stored_photo(content, None)
    assert not leaks(stored), f"{form} {seed}: {leaks(stored)}"
    assert not find_metadata(stored), f"{form} {seed}: {find_metadata(stored)}"
    found = decode_image(stored)
    assert found.shape == pixels.shape
    if np.array_equal(found, pixels):
        return "lossless", stored
    assert stored.startswith(b"\xff\xd8\xff")
    assert np.abs(found.astype(int) - pixels).mean() < 12, f"{form} {seed}"
    return "re-encoded", stored


@pytest.mark.parametrize("form", MAKERS)
def test_no_metadata_survives_mutations(form):
    outcomes = Counter(check(form, seed)[0] for seed in range(200))
    assert outcomes["lossless"] > 10 and outcomes["re-encoded"] >= 3, outcomes


@pytest.mark.parametrize("form", MAKERS)
def test_whole_files_stay_lossless(form):
    for seed in range(20):
        content = b"".join(MAKERS[form](np.random.default_rng(seed)))
        assert leaks(content)
        stored = stored_photo(content, None)
        assert not leaks(stored)
        np.testing.assert_array_equal(decode_image(stored), decode_image(content))
        assert stored[:3] == content[:3]


@pytest.mark.slow
@pytest.mark.parametrize("form", MAKERS)
def test_no_metadata_survives_thousands_of_mutations(form, tmp_path):
    outcomes: Counter[str] = Counter()
    for seed in range(1000, 5000):
        outcome, stored = check(form, seed)
        outcomes[outcome] += 1
        if stored and seed % 5 == 0:
            (tmp_path / f"{seed}.{form.lower()}").write_bytes(stored)
    print(form, dict(outcomes))
    assert outcomes["lossless"] > 200 and outcomes["re-encoded"] > 50, outcomes
    if shutil.which("exiftool"):
        groups = [
            "-EXIF:all",
            "-XMP:all",
            "-IPTC:all",
            "-Photoshop:all",
            "-MakerNotes:all",
            "-MPF:all",
        ]
        command = [
            "exiftool",
            "-q",
            "-q",
            "-p",
            "$Directory/$FileName",
            "-if",
            "$GPSLatitude or $Comment",
        ]
        found = subprocess.run([*command, tmp_path], capture_output=True, text=True).stdout
        assert not found
        listed = subprocess.run(
            ["exiftool", "-q", "-q", "-G", "-s", *groups, tmp_path], capture_output=True, text=True
        ).stdout
        assert not [line for line in listed.splitlines() if line.startswith("[")]
