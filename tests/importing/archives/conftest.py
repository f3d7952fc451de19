import io
import pickle
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from geosurge_jax.importing.archives.contract import Archive, Member, Unit


def photo(number: int) -> bytes:
    """A small JPEG of its own colour."""
    file = io.BytesIO()
    colour = (number % 256, number // 256 % 256, 128)
    Image.new("RGB", (4, 3), colour).save(file, "JPEG")
    return file.getvalue()


def read_all(archive: Archive, workdir: Path) -> list[Member]:
    """All members, each unit read by a copy of the archive, as a worker gets it."""
    units = archive.contents(workdir).units
    check_units(units)
    assert list(archive.contents(workdir / "elsewhere").units) == list(units)
    return [member for unit in units for member in pickle.loads(pickle.dumps(archive)).read(unit)]


def check_units(units: Sequence[Unit]) -> None:
    names = [unit.name for unit in units]
    assert len(set(names)) == len(names)
    assert all(name.isascii() and "/" not in name and len(name) < 200 for name in names)


def problems(members: Sequence[Member]) -> list[str]:
    """The problems, each checked for its form."""
    found = [member.problem for member in members if member.problem]
    for member in members:
        assert (not member.content) == bool(member.problem)
        assert member.problem.isascii() and "\n" not in member.problem + member.where
        member.id.encode("utf-8")
        if member.problem:
            kind, colon, reason = member.problem.partition(": ")
            assert kind and colon and reason
    return found


@pytest.fixture
def small_units(monkeypatch):
    """Units of at most three photos or 4000 bytes."""
    monkeypatch.setattr("geosurge_jax.importing.archives.files.UNIT_PHOTOS", 3)
    monkeypatch.setattr("geosurge_jax.importing.archives.files.UNIT_BYTES", 4000)
