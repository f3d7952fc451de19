"""KML 2.2 for Google Earth: one placemark an image."""

from collections.abc import Iterable
from typing import TextIO
from xml.sax.saxutils import escape

from geosurge_jax.serving.formats.record import Record, Row, rows_of, warnings_of
from geosurge_jax.untrusted_text import printable

_BEGIN = """<?xml version="1.0" encoding="UTF-8"?>
<kml xmlns="http://www.opengis.net/kml/2.2">
<Document>
<name>Predicted places</name>
"""
_END = "</Document>\n</kml>\n"


def write_kml(records: Iterable[Record], file: TextIO) -> None:
    """Writes one placemark an image, with its candidates and warnings in the description.

    An image that could not be read has a placemark with its error and without coordinates.

    Args:
        records: results, consumed one at a time.
        file: text file.

    Raises:
        OSError: the file cannot be written.
    """
    file.write(_BEGIN)
    for record in records:
        file.write(_placemark(record))
    file.write(_END)


def _placemark(record: Record) -> str:
    rows = rows_of(record)
    lines = [_described(row) for row in rows]
    if rows:
        lines.append("Probabilities are not calibrated.")
    if record["error"] is not None:
        lines.append(f"error: {record['error']}")
    lines += [f"warning: {text}" for text in warnings_of(record)]
    point = ""
    if rows:
        # KML puts longitude first, like GeoJSON.
        coordinates = f"{rows[0].longitude:.6f},{rows[0].latitude:.6f}"
        point = f"<Point><coordinates>{coordinates}</coordinates></Point>\n"
    # A description is HTML, which XML holds with its own escapes; a name is plain text.
    description = "<br/>\n".join(escape(printable(line)) for line in lines)
    return (
        f"<Placemark>\n<name>{escape(printable(record['image']))}</name>\n"
        f"<description>{escape(description)}</description>\n{point}</Placemark>\n"
    )


def _described(row: Row) -> str:
    chance = "decision rule" if row.probability is None else f"{row.probability:.2%}"
    return f"{row.rank}. {row.latitude:.5f}, {row.longitude:.5f} ({chance}) {row.place}"
