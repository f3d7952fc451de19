"""What is published of a set of photos that people have on disk."""

from collections.abc import Mapping
from dataclasses import dataclass

VERSION = "2.0.0"
"""Of a dataset where none is asked for; its first number is the format of the records."""


@dataclass(frozen=True)
class PhotoSet:
    """A published set of photos.

    Attributes:
        name: Of the dataset.
        photos: How many everybody's results rest on; None = not known exactly.
        remark: What else is known of their number; empty = nothing.
        fractions: Share of each split where nothing else is asked for.
        description: A sentence or two for people.
        licence: The terms of the photos.
    """

    name: str
    photos: int | None
    remark: str
    fractions: Mapping[str, float]
    description: str
    licence: str

    def difference(self, arrived: int) -> str:
        """How many photos arrived beside how many there are, in one line."""
        remark = f" ({self.remark})" if self.remark else ""
        if self.photos is None:
            return f"{self.name}: {arrived:,} photos arrived{remark}"
        if arrived == self.photos:
            return f"{self.name}: all {arrived:,} photos arrived{remark}"
        missing = self.photos - arrived
        said = f"{missing:,} are missing" if missing > 0 else f"{-missing:,} more than published"
        return f"{self.name}: {arrived:,} of {self.photos:,} photos arrived{remark}: {said}"
