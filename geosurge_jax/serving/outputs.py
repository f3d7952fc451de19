"""Predicted places as files that other programs read: CSV and GeoJSON."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geosurge_jax.geo import atomic_file


@dataclass(frozen=True)
class Prediction:
    """The likeliest places of one photo, or of one sentence.

    Attributes:
        asked: the photo's file, or the sentence.
        latlng: degrees `[k, 2]`, likeliest first.
        log_prob: natural logarithm `[k]` of each place's probability.
        answer: degrees `[2]`, the place that was decided for where that is not simply the likeliest.
    """

    asked: str
    latlng: np.ndarray
    log_prob: np.ndarray
    answer: np.ndarray | None = None

    def rows(self) -> list[tuple[int, float, float, float | None]]:
        """(rank, latitude, longitude, probability): the likeliest places from rank 1 on.

        An answer of its own comes first, with rank 0; it may lie between support points and so has no
        probability.
        """
        decided = [] if self.answer is None else [(0, *_rounded(self.answer), None)]
        likeliest = [
            (rank, *_rounded(latlng), float(np.exp(log_prob)))
            for rank, (latlng, log_prob) in enumerate(
                zip(self.latlng, self.log_prob, strict=True), start=1
            )
        ]
        return [*decided, *likeliest]


def _rounded(latlng: np.ndarray) -> tuple[float, float]:
    return round(float(latlng[0]), 6), round(float(latlng[1]), 6)


def write_csv(path: Path, predictions: Sequence[Prediction], asked: str) -> None:
    """Writes `ASKED,rank,latitude,longitude,probability`, one row a place; whole or not at all.

    Args:
        path: file to write.
        predictions: in order.
        asked: name of the first column: "file" or "sentence".

    Raises:
        OSError: the file cannot be written.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow((asked, "rank", "latitude", "longitude", "probability"))
    for prediction in predictions:
        for rank, lat, lng, probability in prediction.rows():
            shown = "" if probability is None else f"{probability:.6g}"
            writer.writerow((prediction.asked, rank, lat, lng, shown))
    with atomic_file(path) as file:
        file.write(text.getvalue().encode())


def write_geojson(path: Path, predictions: Sequence[Prediction], asked: str) -> None:
    """Writes a FeatureCollection (RFC 7946) of points, one a place; see `write_csv`."""
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [lng, lat]},
            "properties": {asked: prediction.asked, "rank": rank, "probability": probability},
        }
        for prediction in predictions
        for rank, lat, lng, probability in prediction.rows()
    ]
    collection = {"type": "FeatureCollection", "features": features}
    with atomic_file(path) as file:
        file.write(json.dumps(collection).encode())
