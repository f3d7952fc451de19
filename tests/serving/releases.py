"""A small GeoCLIP in the layout of its releases, whose answers the official code has computed."""

import numpy as np

from tests.parity.oracle import thaw

IMAGES = 4


def write_release(folder, *, backbone=True):
    """Writes the frozen release; returns the folder."""
    oracle = thaw("geoclip_release")
    oracle.write_directory(folder)
    rows = [f"{lat!r},{lng!r}" for lat, lng in oracle.inputs["gallery"].tolist()]
    (folder / "places.csv").write_text("\n".join(["LAT,LON", *rows, ""]))
    if backbone:
        thaw("geoclip_backbone").write_directory(folder / "backbone")
    return folder


def images():
    """The images that the official code has seen, uint8 `[H, W, 3]`."""
    inputs = thaw("geoclip_release").inputs
    return [inputs[f"image_{number}"].astype(np.uint8) for number in range(IMAGES)]
