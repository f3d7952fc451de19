"""Records that cannot be read: counted, logged once each, and a stop when there are too many."""

import logging
import threading

_LISTED = 100

_log = logging.getLogger(__name__)


class BadRecordsError(ValueError):
    """Too large a share of a split cannot be read; one line and the list of the records."""


class BadRecords:
    """The unreadable records of one split; safe to use from many threads."""

    def __init__(self, split_name: str, total: int, max_fraction: float):
        """Start counting.

        Args:
            split_name: For messages.
            total: Number of records of the split.
            max_fraction: Largest permitted share of distinct unreadable records; 1 = all.
        """
        self._split_name = split_name
        self._total = total
        self._max_fraction = max_fraction
        self._lock = threading.Lock()
        self._found: dict[int, tuple[str, str]] = {}

    @property
    def found(self) -> dict[int, tuple[str, str]]:
        """Record index -> (location, reason) of what was reported so far, by index."""
        with self._lock:
            return dict(sorted(self._found.items()))

    def report(self, index: int, location: str, reason: str) -> None:
        """Note that a record cannot be read; the first report of each is logged.

        Args:
            index: Position in the split.
            location: "shard file, index in shard", or the path of a photo file.
            reason: What is wrong with it.
        """
        with self._lock:
            if index in self._found:
                return
            self._found[index] = (location, reason)
        _log.warning("%s record %d (%s) skipped: %s", self._split_name, index, location, reason)

    def check(self) -> None:
        """Stop where too many records are bad.

        Raises:
            BadRecordsError: Distinct bad records / total is above the permitted share.
        """
        with self._lock:
            count = len(self._found)
        if count <= self._max_fraction * self._total:
            return
        lines = [f"  {location}: {reason}" for location, reason in self.found.values()]
        if len(lines) > _LISTED:
            lines[_LISTED:] = [f"  and {len(lines) - _LISTED} more"]
        raise BadRecordsError(
            f"split {self._split_name}: {count} of {self._total} records cannot be read, expected "
            f"at most a share of {self._max_fraction} (config.data.max_bad_fraction):\n"
            + "\n".join(lines)
        )
