"""Whether a dataset, or an interrupted import, is of the same source as the one that is asked for now."""

import json
import shutil
from pathlib import Path
from typing import Any

from geosurge_jax.dataset.manifest import read_manifest
from geosurge_jax.importing.files import replaced

IMPORTER = 2
"""Raised when the same archive would give other records."""

_IN_WORDS = {
    "files": "files of the archive were added, removed or changed",
    "table": "the table has changed",
    "importer": "it was made by another version of this program",
}


def is_finished(final: Path, source: dict[str, Any], rebuild: bool) -> bool:
    """Whether the dataset is there.

    Raises:
        ValueError: It is, but of another source, and is not to be replaced.
    """
    if not final.exists() or rebuild:
        return False
    found = read_manifest(final).source
    if found == json.loads(json.dumps(source)):
        return True
    raise ValueError(
        f"{final}: this dataset was made from another source: {_difference(found, source)}; to replace it "
        "repeat the command with --rebuild, to keep it give another --name or --version"
    )


def _difference(found: Any, source: dict[str, Any]) -> str:
    """What differs between two sources, in words."""
    found = found if isinstance(found, dict) else {}
    said = []
    for key in sorted(key for key in {*found, *source} if found.get(key) != source.get(key)):
        if key in _IN_WORDS:
            said.append(_IN_WORDS[key])
        else:
            said.append(f"{key} was {found.get(key)!r} and is now {source.get(key)!r}")
    return "; ".join(said)


def claim(work: Path, source: dict[str, Any], rebuild: bool) -> None:
    """Marks the working directory as that of this source.

    Raises:
        ValueError: It is of another source, and is not to be replaced.
    """
    noted = work / "source.json"
    if (
        rebuild
        and noted.exists()
        and json.loads(noted.read_text()) != json.loads(json.dumps(source))
    ):
        for path in work.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    if not noted.exists():
        with replaced(noted) as passing:
            passing.write_text(json.dumps(source))
    found = json.loads(noted.read_text())
    source = json.loads(json.dumps(source))
    if found != source:
        raise ValueError(
            f"{work}: an interrupted import of another source: {_difference(found, source)}; repeat the "
            "command with the flags it was begun with, or with --rebuild to begin anew"
        )
