"""A small world map as SVG, and images as data URIs: what a notebook shows without loading anything."""

import base64
import functools
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from geosurge_jax.geo.land import land_outlines

WIDTH, HEIGHT = 360, 180


def world_map_svg(points: Sequence[tuple[float, float]], chosen: tuple[float, float]) -> str:
    """Draws points on an equirectangular map of the continents.

    Args:
        points: degrees, the most likely first; drawn smaller and smaller.
        chosen: degrees of the coordinates that the decision rule chose; drawn as a cross.
    """
    dots = "".join(
        f'<circle cx="{lng + 180:.2f}" cy="{90 - lat:.2f}" r="{max(4 - rank * 0.6, 1):.1f}" '
        f'fill="#c03020" fill-opacity="{max(0.9 - 0.15 * rank, 0.2):.2f}"/>'
        for rank, (lat, lng) in reversed([*enumerate(points)])
    )
    x, y = chosen[1] + 180, 90 - chosen[0]
    cross = f'<path d="M{x - 5:.2f} {y:.2f}h10M{x:.2f} {y - 5:.2f}v10" stroke="#000" fill="none"/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{2 * WIDTH}" '
        f'style="background:#e8f0f8;max-width:100%">'
        f'<path d="{_land_path()}" fill="#c8c8b8" fill-rule="evenodd"/>'
        f"{dots}{cross}</svg>"
    )


def image_data_uri(pixels: np.ndarray) -> str:
    """Encodes an image uint8 `[H, W, 3]` as the `data:` URI of a JPEG."""
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode()


@functools.cache
def _land_path() -> str:
    """The continents as one SVG path."""
    rings = []
    for ring in land_outlines():
        corners = " ".join(f"{lng + 180:.1f} {90 - lat:.1f}" for lat, lng in ring)
        rings.append(f"M{corners}Z")
    return "".join(rings)
