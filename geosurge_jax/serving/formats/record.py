"""One image's result as plain values, from which every format is written."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geosurge_jax.serving.prediction import Outcome

# `Outcome.to_dict(k)`: the JSON object of one image, also a line of JSON Lines and of a journal.
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """One place of an image.

    Attributes:
        rank: from 1, most likely first; 0 for the answer of the decision rule where that is another place.
        latitude: degrees.
        longitude: degrees.
        probability: of the support point; None for an answer between support points.
        place: readable name.
    """

    rank: int
    latitude: float
    longitude: float
    probability: float | None
    place: str


def records(outcomes: "Iterable[Outcome]", k: int) -> Iterator[Record]:
    """Yields the record of each outcome with its k most likely candidates; holds one at a time."""
    return (outcome.to_dict(k) for outcome in outcomes)


def rows_of(record: Record) -> list[Row]:
    """Returns the places of a record by rank; none for an image that could not be read."""
    if record["error"] is not None:
        return []
    rows = [_row(one, one["rank"]) for one in record["candidates"]]
    decided = _row(record, 0)
    best = rows[0]
    same = (decided.latitude, decided.longitude) == (best.latitude, best.longitude)
    return rows if same else [decided, *rows]


def warnings_of(record: Record) -> list[str]:
    """Returns the warnings of a record; none for an image that could not be read."""
    return [*record.get("warnings", ())]


def _row(values: Mapping[str, Any], rank: int) -> Row:
    return Row(
        rank, values["latitude"], values["longitude"], values["probability"], values["place"]
    )
