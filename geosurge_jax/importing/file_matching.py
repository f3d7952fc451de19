"""Finds the file that a row of a table means, although people and systems spell its name differently."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable

from geosurge_jax.importing.row_values import RejectedRow
from geosurge_jax.input.image_formats import without_suffix
from geosurge_jax.untrusted_text import printable

_SHOWN = 120  # characters of a name in a message


class FileMatcher:
    """Finds files by the names that a table gives them.

    A name is the path of a file, in whatever letter case, Unicode normalization (macOS decomposes letters
    with accents) and slashes, with or without the suffix of an image. Where no path agrees as a whole, the
    longest tail of the name counts that is the tail of one path: absolute paths of another machine, or
    folders that the table leaves out.
    """

    def __init__(self, paths: Iterable[str]):
        """Indexes paths.

        Args:
            paths: relative to one folder, with "/" between their parts.
        """
        self._exact = dict.fromkeys(paths)
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for path in self._exact:
            last = path.rpartition("/")[2]
            for key in {_folded(last), _folded(without_suffix(last))}:
                self._by_name[key].append(path)

    def find(self, name: str) -> str:
        """Returns the path of the file that a name means.

        Raises:
            RejectedRow: no file agrees, or several do equally well; the reason names them.
        """
        plain = name.replace("\\", "/").removeprefix("./")
        for exact in (name, plain):
            if exact in self._exact:
                return exact
        wanted = [part for part in _folded(plain).split("/") if part not in ("", ".")]
        if not wanted:
            raise RejectedRow(f"missing file: {_shown(name)}")
        best, longest = [], 0
        for path in self._by_name.get(wanted[-1], ()):
            common = _common_tail(wanted, _folded(path).split("/"))
            if common > longest:
                best, longest = [], common
            if common == longest:
                best.append(path)
        if not best:
            raise RejectedRow(f"missing file: {_shown(name)}")
        if len(best) > 1:
            raise RejectedRow(
                f"ambiguous file: {_shown(name)} may be {_shown(best[0])} or {_shown(best[1])}"
                + (f" or {len(best) - 2} more" if len(best) > 2 else "")
            )
        return best[0]


def _common_tail(wanted: list[str], path: list[str]) -> int:
    """How many last parts agree; the last one does, perhaps without its suffix."""
    count = 1
    while count < min(len(wanted), len(path)) and wanted[-1 - count] == path[-1 - count]:
        count += 1
    return count


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())


def _shown(name: str) -> str:
    return printable(name if len(name) <= _SHOWN else f"{name[:_SHOWN]}...")
