"""What a model says about one image: candidates, posterior, warnings, and how they are shown."""

import functools
import html
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from geosurge_jax.geo import PlaceName, name_places
from geosurge_jax.serving.world_map import image_data_uri, world_map_svg

# Decimals of degrees that are written: 0.1 m.
DECIMALS = 6


@dataclass(frozen=True, eq=False)
class ImagePosterior:
    """The distribution over the Earth for one image.

    Attributes:
        latlng: support points, degrees float32 `[K, 2]`.
        log_prob: natural logarithm of the probability of each, float32 `[K]`.
    """

    latlng: np.ndarray
    log_prob: np.ndarray

    @property
    def probability(self) -> np.ndarray:
        """Probability of each support point, float32 `[K]`."""
        return np.exp(self.log_prob)


@dataclass(frozen=True)
class Candidate:
    """A support point of a posterior.

    Attributes:
        latlng: degrees.
        probability: of this point.
    """

    latlng: tuple[float, float]
    probability: float

    @cached_property
    def place(self) -> PlaceName:
        """Country, region and nearest town."""
        return _place_of(*self.latlng)


@dataclass(frozen=True, eq=False)
class Prediction:
    """Where one image was taken, or what place a sentence describes.

    Attributes:
        image: readable name of the image, or the sentence.
        latlng: coordinates that the decision rule chose, degrees.
        posterior: over the whole Earth.
        decision: name of the decision rule.
        model: name of the model.
        warnings: what a person should know before trusting it.
        thumbnail: small copy of the image for notebooks, uint8 `[h, w, 3]`; None where none was kept.
        error: None; a `FailedPrediction` has one.
    """

    image: str
    latlng: tuple[float, float]
    posterior: ImagePosterior
    decision: str
    model: str
    warnings: tuple[str, ...] = ()
    thumbnail: np.ndarray | None = None
    error: None = None

    @property
    def probability(self) -> float | None:
        """Probability of the support point at `latlng`; None where the rule chose a point between them."""
        best = self.top(1)[0]
        if best.latlng == self.latlng:
            return best.probability
        same = (self.posterior.latlng == np.array(self.latlng, np.float32)).all(axis=1)
        return float(self.posterior.probability[same].max()) if same.any() else None

    @cached_property
    def place(self) -> PlaceName:
        """Country, region and nearest town of `latlng`."""
        return _place_of(*self.latlng)

    def top(self, k: int) -> list[Candidate]:
        """Returns the k most likely support points, the most likely first; equal ones by their index.

        Raises:
            ValueError: k is below 1.
        """
        if k < 1:
            raise ValueError(f"k={k}: expected 1 or more")
        log_prob = self.posterior.log_prob
        k = min(k, len(log_prob))
        least = np.partition(log_prob, -k)[-k]
        # All that are at least as likely as the k-th, so that equal ones are ordered by their index.
        chosen = np.flatnonzero(log_prob >= least)
        chosen = chosen[np.argsort(-log_prob[chosen], kind="stable")][:k]
        return [
            Candidate(_degrees(self.posterior.latlng[i]), float(np.exp(log_prob[i])))
            for i in chosen
        ]

    def to_dict(self, k: int = 5) -> dict[str, Any]:
        """Returns plain values for JSON, with the k most likely candidates."""
        return {
            "image": self.image,
            "latitude": round(self.latlng[0], DECIMALS),
            "longitude": round(self.latlng[1], DECIMALS),
            "probability": self.probability,
            "place": str(self.place),
            "decision": self.decision,
            "model": self.model,
            "candidates": [_candidate_dict(one, rank) for rank, one in enumerate(self.top(k), 1)],
            "warnings": [*self.warnings],
            "error": None,
        }

    def to_geojson(self, k: int = 5) -> dict[str, Any]:
        """Returns a FeatureCollection (RFC 7946) of points: the chosen one with rank 0, then k candidates."""
        shared = {"image": self.image, "model": self.model, "warnings": [*self.warnings]}
        answer = {"rank": 0, "probability": self.probability, "place": str(self.place)}
        features = [_feature(self.latlng, {**shared, **answer, "decision": self.decision})]
        for rank, one in enumerate(self.top(k), start=1):
            values = {"rank": rank, "probability": one.probability, "place": str(one.place)}
            features.append(_feature(one.latlng, {**shared, **values}))
        return {"type": "FeatureCollection", "features": features}

    def heatmap(self, width: int = 360) -> np.ndarray:
        """Returns the probability in each pixel of an equirectangular world map.

        Args:
            width: in pixels, even.

        Returns:
            float32 `[width // 2, width]`, row 0 at 90 degrees north, column 0 at 180 degrees west; sums to 1.

        Raises:
            ValueError: width is odd or below 2.
        """
        if width < 2 or width % 2:
            raise ValueError(f"width={width}: expected an even number of pixels, 2 or more")
        height = width // 2
        latlng = self.posterior.latlng.astype(np.float64)
        row = np.clip(((90 - latlng[:, 0]) / 180 * height).astype(int), 0, height - 1)
        column = ((latlng[:, 1] + 180) / 360 * width).astype(int) % width
        probability = np.exp(self.posterior.log_prob.astype(np.float64))
        mass = np.bincount(row * width + column, weights=probability, minlength=height * width)
        return (mass / mass.sum()).reshape(height, width).astype(np.float32)

    def __repr__(self) -> str:
        lines = [f"Prediction for {self.image} by {self.model}"]
        if self.decision != "top":
            lines.append(f"  {_shown(self.latlng)}  by decision rule {self.decision}  {self.place}")
        for one in self.top(3):
            lines.append(f"  {_shown(one.latlng)}  {one.probability:6.2%}  {one.place}")
        return "\n".join([*lines, *(f"  warning: {text}" for text in self.warnings)])

    def _repr_html_(self) -> str:
        candidates = self.top(5)
        rows = "".join(
            f"<tr><td>{rank}</td><td>{_shown(one.latlng)}</td><td>{one.probability:.2%}</td>"
            f"<td>{html.escape(str(one.place))}</td></tr>"
            for rank, one in enumerate(candidates, start=1)
        )
        picture = ""
        if self.thumbnail is not None:
            picture = (
                f'<img alt="" src="{image_data_uri(self.thumbnail)}" style="max-height:200px"> '
            )
        warnings = "".join(f"<p><b>Warning:</b> {html.escape(text)}</p>" for text in self.warnings)
        world = world_map_svg([one.latlng for one in candidates], self.latlng)
        return (
            f"<div><b>{html.escape(self.image)}</b> by {html.escape(self.model)}<br>{picture}{world}"
            "<table><tr><th>rank</th><th>coordinates</th><th>probability</th><th>place</th></tr>"
            f"{rows}</table>{warnings}</div>"
        )


@dataclass(frozen=True)
class FailedPrediction:
    """An image that could not be read.

    Attributes:
        image: its readable name.
        error: why, in one line.
    """

    image: str
    error: str

    def to_dict(self, k: int = 5) -> dict[str, Any]:
        """Returns plain values for JSON."""
        del k
        return {"image": self.image, "error": self.error}


Outcome = Prediction | FailedPrediction


@functools.lru_cache(maxsize=100_000)  # geocells and places of a gallery come again and again
def _place_of(latitude: float, longitude: float) -> PlaceName:
    return name_places(np.array([(latitude, longitude)], np.float64))[0]


def _degrees(latlng: Sequence[float] | np.ndarray) -> tuple[float, float]:
    return float(latlng[0]), float(latlng[1])


def _shown(latlng: tuple[float, float]) -> str:
    return f"{latlng[0]:9.4f}, {latlng[1]:9.4f}"


def _candidate_dict(one: Candidate, rank: int) -> dict[str, Any]:
    return {
        "rank": rank,
        "latitude": round(one.latlng[0], DECIMALS),
        "longitude": round(one.latlng[1], DECIMALS),
        "probability": one.probability,
        "place": str(one.place),
    }


def _feature(latlng: tuple[float, float], properties: dict[str, Any]) -> dict[str, Any]:
    coordinates = [round(latlng[1], DECIMALS), round(latlng[0], DECIMALS)]
    return {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": coordinates},
        "properties": properties,
    }
