"""Test-time crops: several views of a photo, one posterior."""

import math

import jax

from geosurge_jax.systems.posterior import Posterior


def average_over_crops(posterior: Posterior, crops: int) -> Posterior:
    """Averages the PROBABILITIES of the crops of each photo, in log space.

    Over a shared support they are averaged point by point. Where each crop has its own support the
    average is the mixture: the supports side by side, each point at 1 / C of its probability. Points that
    several crops have in common stay apart there, which decisions that look around a point do not notice.

    Args:
        posterior: `log_prob [B * C, K]`, the C crops of a photo in consecutive rows.
        crops: C.

    Returns:
        Over a shared support `log_prob [B, K]`, otherwise `latlng [B, C * K, 2]` and `log_prob [B, C * K]`;
        normalised where the input is.

    Raises:
        ValueError: the number of rows is no multiple of `crops`.
    """
    rows, support = posterior.log_prob.shape
    if crops < 1 or rows % crops:
        raise ValueError(f"{rows} rows of log_prob are no multiple of crops={crops}")
    photos = rows // crops
    if posterior.latlng.ndim == 2:
        by_photo = posterior.log_prob.reshape(photos, crops, support)
        averaged = jax.nn.logsumexp(by_photo, axis=1) - math.log(crops)
        return Posterior(posterior.latlng, averaged)
    return Posterior(
        posterior.latlng.reshape(photos, crops * support, 2),
        posterior.log_prob.reshape(photos, crops * support) - math.log(crops),
    )
