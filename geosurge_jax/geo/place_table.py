"""The shipped towns and country outlines behind `place_names`, loaded once when first asked for."""

import functools
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from geosurge_jax.geo.outlines import Outlines
from geosurge_jax.geo.sphere import EARTH_RADIUS_KM, unit_vectors

if TYPE_CHECKING:
    from scipy.spatial import KDTree

DATA_FILE = Path(__file__).parent / "place_data" / "places.npz"
SCALE = 10_000  # stored coordinates are integers of 0.0001 degrees, some 11 m

# Natural Earth draws these as parts of another country or not at all, GeoNames lists their towns
# under codes of their own.
_DRAWN_WITHIN = {
    **dict.fromkeys(("GF", "GP", "MQ", "RE", "YT"), "FR"),
    "BQ": "NL",
    "BV": "NO",
    "SJ": "NO",
    "TK": "NZ",
}

_LOCK = threading.Lock()


@dataclass(frozen=True, eq=False)
class PlaceTable:
    """Towns, and the outlines of countries.

    Attributes:
        names: Town names, `[T]`, UTF-8.
        regions: First-level regions, UTF-8; "" is none.
        latlng: Degrees of the towns, float64 `[T, 2]`.
        country: Index of each town's country, uint8 `[T]`.
        region: Index of each town's region, uint16 `[T]`.
        country_codes: ISO 3166 two-letter codes; "" is a polygon without one.
        country_names: Names of the countries.
        outlines: Country outlines by owner.
        owner_country: Country of each owner.
    """

    names: list[bytes]
    regions: list[bytes]
    latlng: np.ndarray
    country: np.ndarray
    region: np.ndarray
    country_codes: list[str]
    country_names: list[str]
    outlines: Outlines
    owner_country: np.ndarray

    def country_at(self, latlng: np.ndarray) -> np.ndarray:
        """Return the country index of the outline that holds each point, int32 `[M]`; -1 at sea."""
        owner = self.outlines.containing(latlng)
        return np.where(owner >= 0, self.owner_country[owner].astype(np.int32), -1)

    @functools.cached_property
    def _tree(self) -> "KDTree":
        return _make_tree(self.latlng)

    @functools.cached_property
    def family(self) -> np.ndarray:
        """Country index that the outline of each country is drawn under, int32 `[countries]`."""
        drawn = [_DRAWN_WITHIN.get(code, code) for code in self.country_codes]
        return np.array([self.country_codes.index(code) for code in drawn], np.int32)

    @functools.cached_property
    def _family_trees(self) -> "dict[int, tuple[np.ndarray, KDTree]]":
        return {}

    def nearest_town(self, latlng: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return index int64 `[M]` and great-circle distance in km float64 `[M]` of towns."""
        chord, town = self._tree.query(unit_vectors(latlng))
        return np.asarray(town), _chord_to_km(chord)

    def nearest_town_of(self, country: int, latlng: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Like `nearest_town`, among the towns drawn within a country's outline.

        A country without a town of its own, as Antarctica, takes the towns of all.
        """
        if country not in self._family_trees:
            rows = np.flatnonzero(self.family[self.country] == self.family[country])
            # Two threads may both come here; they store equal values.
            self._family_trees[country] = (
                (rows, _make_tree(self.latlng[rows]))
                if len(rows) and self.country_codes[country]
                else (np.arange(len(self.latlng)), self._tree)
            )
        rows, tree = self._family_trees[country]
        chord, town = tree.query(unit_vectors(latlng))
        return rows[np.asarray(town)], _chord_to_km(chord)


def _make_tree(latlng: np.ndarray) -> "KDTree":
    # Imported when first used: importing `geosurge_jax.geo` stays as fast as NumPy.
    from scipy.spatial import KDTree

    # Unbalanced trees answer as fast here and are built in a third of the time.
    return KDTree(unit_vectors(latlng), leafsize=64, balanced_tree=False, compact_nodes=False)


def _chord_to_km(chord: np.ndarray) -> np.ndarray:
    """Turn lengths of chords of the unit sphere into great-circle distances."""
    return 2.0 * EARTH_RADIUS_KM * np.arcsin(np.clip(np.asarray(chord) / 2.0, 0.0, 1.0))


def place_table() -> PlaceTable:
    """Return the shipped table; the first call reads it, from whichever thread."""
    with _LOCK:
        return _load()


@functools.cache
def _load() -> PlaceTable:
    with np.load(DATA_FILE) as stored:
        points = np.cumsum(stored["ring_points"].T, axis=0) / SCALE
        rings = np.split(points, np.cumsum(stored["ring_lengths"])[:-1])
        return PlaceTable(
            names=stored["town_names"].tobytes().split(b"\n"),
            regions=stored["region_names"].tobytes().split(b"\n"),
            latlng=np.ascontiguousarray(stored["town_latlng"].T) / SCALE,
            country=stored["town_country"],
            region=stored["town_region"],
            country_codes=stored["country_codes"].tolist(),
            country_names=stored["country_names"].tolist(),
            outlines=Outlines(rings, stored["ring_owner"]),
            owner_country=stored["owner_country"],
        )
