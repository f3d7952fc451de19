"""From a posterior to coordinates: the likeliest places, and the answer that is best for a score.

The likeliest support point maximises none of the scores that tables hold. A decision names one, and the
answer is the place whose expected score under the posterior is the highest (Bayes decision theory).
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from geosurge_jax.geo import EARTH_RADIUS_KM, latlng_from_unit_vectors, unit_vectors
from geosurge_jax.systems.posterior import Posterior

DECISION_NAMES = "'top', 'accuracy@KMkm' such as 'accuracy@25km', 'geoscore' or 'distance'"

_ACCURACY = re.compile(r"accuracy@(\d+(?:\.\d+)?)km")
_GEOSCORE_KM = 1492.7

# Candidates at a time: bounds the memory to B x 64 x M distances whatever the number of candidates.
_CANDIDATES_AT_A_TIME = 64


@dataclass(frozen=True)
class Decision:
    """A way to answer, given a posterior.

    Attributes:
        name: as in `config.evaluation.decisions`.
        utility: worth of an answer at a distance in km, elementwise; None for the likeliest support point.
        bound: the most that two answers to one photo can differ in worth.
    """

    name: str
    utility: Callable[[jax.Array], jax.Array] | None
    bound: float


def parse_decision(name: str) -> Decision:
    """The decision of a name.

    "top" is the likeliest support point. "accuracy@25km" maximises the probability mass within 25 km, for
    any radius; "geoscore" the expected 5000 exp(-km / 1492.7); "distance" minimises the expected distance.

    Raises:
        ValueError: no decision has this name; lists those that exist.
    """
    if name == "top":
        return Decision(name, None, 1.0)
    if name == "geoscore":
        return Decision(name, lambda km: 5000.0 * jnp.exp(km / -_GEOSCORE_KM), 5000.0)
    if name == "distance":
        return Decision(name, jnp.negative, jnp.pi * EARTH_RADIUS_KM)
    accuracy = _ACCURACY.fullmatch(name)
    if accuracy is None or float(accuracy[1]) <= 0:
        raise ValueError(f"decision is {name!r}, expected {DECISION_NAMES}")
    radius_km = float(accuracy[1])
    return Decision(name, lambda km: (km <= radius_km).astype(jnp.float32), 1.0)


def top_locations(posterior: Posterior, k: int) -> tuple[jax.Array, jax.Array]:
    """The k likeliest support points of each photo, the likeliest first.

    Equals go by the lower index.

    Args:
        posterior: over K support points, shared or each photo's own.
        k: how many, 1 to K.

    Returns:
        Degrees `[B, k, 2]` and log-probabilities `[B, k]`.

    Raises:
        ValueError: k is not in 1..K.
    """
    support = posterior.log_prob.shape[1]
    if not 1 <= k <= support:
        raise ValueError(f"k is {k}, expected 1 to {support}, the number of support points")
    log_prob, point = jax.lax.top_k(posterior.log_prob, k)
    if posterior.latlng.ndim == 2:
        return jnp.take(posterior.latlng, point, axis=0), log_prob
    return jnp.take_along_axis(posterior.latlng, point[..., None], axis=1), log_prob


def decide(posterior: Posterior, decisions: Sequence[Decision], points: int) -> jax.Array:
    """The answer to each photo under each decision.

    Candidates are the M likeliest support points and their weighted spherical mean, and the expectation is
    taken over the same M points. The probability mass m beyond them is left out, which costs an answer at
    most (1 - m) times `Decision.bound` of expected worth, compared with the best candidate. Equals go to the
    likelier candidate; the mean comes last, and where the points cancel it stands at the likeliest point.

    Distances are chords between float32 unit vectors on a sphere of 6371 km, whatever the protocol of
    the table: right to about 2 m for neighbours and to a few km near the antipode.

    Args:
        posterior: over K support points, shared or each photo's own.
        decisions: D of them.
        points: M, cut to K.

    Returns:
        Degrees `[B, D, 2]`, float32.
    """
    latlng, log_prob = top_locations(posterior, min(points, posterior.log_prob.shape[1]))
    weighed = [decision for decision in decisions if decision.utility is not None]
    if not weighed:
        return jnp.repeat(latlng[:, :1], len(decisions), axis=1)
    probability = jnp.exp(log_prob)
    support = unit_vectors(latlng)
    mean = _mean_direction(support, probability)
    candidates = jnp.concatenate([support, mean[:, None]], axis=1)
    expected = _expected_utilities(candidates, support, probability, weighed)
    best = jnp.argmax(expected, axis=1)
    places = jnp.concatenate([latlng, latlng_from_unit_vectors(mean)[:, None]], axis=1)
    chosen = jnp.take_along_axis(places, best[..., None], axis=1)
    of_weighed = iter(range(len(weighed)))
    return jnp.stack(
        [
            latlng[:, 0] if decision.utility is None else chosen[:, next(of_weighed)]
            for decision in decisions
        ],
        axis=1,
    )


def _mean_direction(support: jax.Array, probability: jax.Array) -> jax.Array:
    """Weighted mean `[B, 3]` of unit vectors `[B, M, 3]`; the first of them where they cancel."""
    mean = jnp.sum(support * probability[..., None], axis=1)
    length = jnp.linalg.norm(mean, axis=-1, keepdims=True)
    return jnp.where(length > 1e-6, mean / jnp.maximum(length, 1e-6), support[:, 0])


def _expected_utilities(
    candidates: jax.Array,
    support: jax.Array,
    probability: jax.Array,
    decisions: Sequence[Decision],
) -> jax.Array:
    """Expected worth `[B, C, D]` of candidates `[B, C, 3]` over support `[B, M, 3]`, a slice at a time."""
    batch, count, _ = candidates.shape
    padding = -count % _CANDIDATES_AT_A_TIME
    padded = jnp.pad(candidates, ((0, 0), (0, padding), (0, 0)))
    slices = jnp.moveaxis(padded.reshape(batch, -1, _CANDIDATES_AT_A_TIME, 3), 1, 0)

    def of_slice(some: jax.Array) -> jax.Array:
        # Differences, not dot products: those lose neighbours, whose cosine is 1 in float32 up to 2 km.
        chord = jnp.linalg.norm(some[:, :, None] - support[:, None], axis=-1)
        km = 2 * EARTH_RADIUS_KM * jnp.arcsin(jnp.minimum(chord / 2, 1.0))
        worth = [decision.utility(km) for decision in decisions if decision.utility is not None]
        return jnp.stack(
            [jnp.einsum("bcm,bm->bc", each, probability, precision="highest") for each in worth],
            axis=-1,
        )

    expected = jax.lax.map(of_slice, slices)
    return jnp.moveaxis(expected, 0, 1).reshape(batch, -1, len(decisions))[:, :count]
