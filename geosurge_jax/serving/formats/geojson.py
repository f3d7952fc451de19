"""GeoJSON (RFC 7946): one point a place."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

from geosurge_jax.serving.formats.record import Record, rows_of, warnings_of

_OF_PLACES = ("image", "latitude", "longitude", "probability", "place", "candidates", "warnings")


def write_geojson(records: Iterable[Record], file: TextIO) -> None:
    """Writes a FeatureCollection of points; an image that could not be read has a null geometry.

    Args:
        records: results, consumed one at a time.
        file: text file.

    Raises:
        OSError: the file cannot be written.
    """
    file.write('{"type": "FeatureCollection", "features": [')
    separator = "\n"
    for record in records:
        for feature in _features(record):
            file.write(separator + json.dumps(feature))
            separator = ",\n"
    file.write("\n]}\n")


def _features(record: Record) -> Iterator[dict[str, Any]]:
    shared = {"image": record["image"], "warnings": warnings_of(record)}
    # Decision rule, model, error, and whatever a caller has added.
    shared |= {name: value for name, value in record.items() if name not in _OF_PLACES}
    if record["error"] is not None:
        yield {"type": "Feature", "geometry": None, "properties": shared}
    for row in rows_of(record):
        point = {"type": "Point", "coordinates": [row.longitude, row.latitude]}
        answer = {"rank": row.rank, "probability": row.probability, "place": row.place}
        yield {"type": "Feature", "geometry": point, "properties": {**shared, **answer}}
