import numpy as np
from matplotlib.collections import LineCollection

from geosurge_jax.evaluation.geocell_map import draw_geocells
from geosurge_jax.evaluation.maps import equal_earth
from geosurge_jax.geo import build_partition


def test_outlines_lie_on_the_map_and_none_runs_across_it(monkeypatch):
    latlng = np.array([[10.0, 40.0], [-20.0, 179.99], [-20.0, -179.99]])
    partition = build_partition(latlng, 1, 1, min_level=0, max_level=0)
    drawn = []
    made = LineCollection.__init__

    def remembered(self, lines, **named):
        if named.get("linewidths") == 0.4:
            drawn.extend(lines)
        made(self, lines, **named)

    monkeypatch.setattr(LineCollection, "__init__", remembered)
    draw_geocells({"cells": partition})
    # Faces of the cube: one whole, the one behind it in pieces on both edges of the map.
    assert len(partition.ids) == 2 and len(drawn) >= 3
    edge = float(equal_earth(np.array([0.0, 180.0]))[0])
    for line in drawn:
        assert np.abs(np.diff(line[:, 0])).max(initial=0) < edge
    around = [line for line in drawn if abs(line[:, 0]).max() < 0.5 * edge]
    (cell,) = around
    np.testing.assert_array_equal(cell[0], cell[-1])
    x, y = equal_earth(latlng[0])
    assert cell[:, 0].min() < x < cell[:, 0].max() and cell[:, 1].min() < y < cell[:, 1].max()
