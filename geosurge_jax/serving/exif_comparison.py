"""How far a prediction lies from the GPS position in an image's EXIF, for `--compare-exif` alone."""

from pathlib import Path

import numpy as np

from geosurge_jax.geo import great_circle_km
from geosurge_jax.importing.exif import gps_latlng
from geosurge_jax.serving.prediction import Prediction


def exif_latlng(image: Path) -> tuple[float, float] | None:
    """Returns the GPS position in the EXIF of an image file, degrees; None where there is none.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        latitude, longitude = gps_latlng(image.read_bytes())
    except ValueError:
        return None
    return (latitude, longitude) if abs(latitude) <= 90 and abs(longitude) <= 180 else None


def exif_error_km(image: Path, prediction: Prediction) -> float | None:
    """Returns the great-circle distance in km between a prediction and the EXIF position.

    Args:
        image: the image file.
        prediction: of that image.

    Returns:
        Kilometres; None where the image carries no position.

    Raises:
        OSError: the file cannot be read.
    """
    truth = exif_latlng(image)
    if truth is None:
        return None
    return float(great_circle_km(np.array(truth), np.array(prediction.latlng, np.float64)))
