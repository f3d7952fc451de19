"""Coarse land against places that everybody knows and against a finer grid of countries."""

import pathlib

import numpy as np
import pytest

from geosurge_jax import geo

GRID = (
    pathlib.Path(__file__).resolve().parents[2].parent
    / "shared"
    / "geography"
    / "country_grid_0p25deg.npz"
)

PLACES = {
    (48.86, 2.35): "Europe",
    (55.75, 37.62): "Europe",
    (35.68, 139.69): "Asia",
    (39.93, 32.86): "Asia",
    (30.04, 31.24): "Africa",
    (-33.92, 18.42): "Africa",
    (40.71, -74.01): "North America",
    (19.43, -99.13): "North America",
    (-15.79, -47.88): "South America",
    (4.0, -53.0): "South America",  # French Guiana
    (-25.0, 133.0): "Oceania",
    (-41.29, 174.78): "Oceania",
    (-90.0, 0.0): "Antarctica",
    (-80.0, 180.0): "Antarctica",
    (67.0, 180.0): "Europe",  # Chukotka, on the antimeridian
    (67.0, -180.0): "Europe",
    (64.15, -21.94): "Europe",  # Iceland
}


def names(latlng):
    return [geo.CONTINENTS[index] if index >= 0 else None for index in geo.continent_of(latlng)]


def test_places():
    assert names(np.array(list(PLACES))) == list(PLACES.values())


def test_sea_belongs_to_land_within_500_km_or_to_nobody():
    near = np.array([[45.0, -5.0], [-36.5, 23.0], [30.0, -60.0], [0.0, -30.0], [90.0, 0.0]])
    assert names(near) == ["Europe", "Africa", None, None, None]
    assert not geo.on_land(near).any()


def test_seas_and_lands():
    sea = [[43.0, 35.0], [60.0, -86.0], [38.0, 5.0], [25.0, -90.0], [-20.0, 80.0], [75.0, -180.0]]
    land = [
        [47.0, 8.0],
        [-10.0, -60.0],
        [65.0, 100.0],
        [23.0, 10.0],
        [72.0, -40.0],
        [-85.0, 180.0],
        [67.0, 180.0],
        [67.0, -180.0],
    ]
    assert not geo.on_land(np.array(sea)).any()
    assert geo.on_land(np.array(land)).all()


def test_outlines_are_rings_on_the_globe():
    outlines = geo.land_outlines()
    assert len(outlines) > 50 and sum(map(len, outlines)) > 2000
    for ring in outlines:
        assert ring.shape == (len(ring), 2) and len(ring) >= 3
        assert np.all(np.abs(ring) <= [90, 180])
    drawn_area = 0.0
    for ring in outlines:
        x, y = np.radians(ring[:, 1]), np.sin(np.radians(ring[:, 0]))
        drawn_area += abs(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) / 2
    assert 0.27 < drawn_area / (4 * np.pi) < 0.31  # land is 29 % of the Earth


def test_every_point_gets_the_same_answer_alone_and_in_company():
    latlng = np.random.default_rng(0).uniform([-90, -180], [90, 180], (500, 2))
    together = geo.continent_of(latlng)
    assert together.dtype == np.int32
    alone = [geo.continent_of(point[None])[0] for point in latlng[:60]]
    np.testing.assert_array_equal(together[:60], alone)
    assert geo.continent_of(latlng[:0]).shape == (0,) and geo.on_land(latlng[:0]).shape == (0,)


def test_bad_coordinates_are_named():
    with pytest.raises(ValueError, match="row 0 is"):
        geo.continent_of(np.array([[100.0, 0.0]]))
    with pytest.raises(ValueError, match="row 0 is"):
        geo.on_land(np.array([[0.0, np.nan]]))


@pytest.mark.skipif(not GRID.is_file(), reason="the grid of countries is not beside this checkout")
def test_a_grid_of_countries_agrees():
    """A grid made from outlines five times finer: land or sea to 99 % of the area, continents to
    99.7 % of land."""
    with np.load(GRID) as stored:
        grid, continent = stored["grid"], stored["continent"]
    rows, columns = np.meshgrid(np.arange(0, 720, 3), np.arange(0, 1440, 3), indexing="ij")
    latlng = np.stack([90 - 0.25 * (rows + 0.5), -180 + 0.25 * (columns + 0.5)], axis=-1)
    latlng, country = latlng.reshape(-1, 2), grid[rows, columns].ravel()
    area = np.cos(np.radians(latlng[:, 0]))
    agrees = geo.on_land(latlng) == (country > 0)
    assert np.sum(area * agrees) / np.sum(area) > 0.99
    known = np.isin(continent[country], geo.CONTINENTS)
    same = np.array(names(latlng[known])) == continent[country[known]]
    assert np.sum(area[known] * same) / np.sum(area[known]) > 0.997
