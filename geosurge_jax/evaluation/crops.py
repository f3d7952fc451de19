"""Test-time crops: several views of a photo, one posterior."""

import math

import jax


def average_over_crops(log_prob: jax.Array, crops: int) -> jax.Array:
    """Averages the PROBABILITIES of the crops of each photo, in log space.

    Args:
        log_prob: `[B * C, K]`, the C crops of a photo in consecutive rows.
        crops: C.

    Returns:
        `[B, K]`, normalised where the input is.

    Raises:
        ValueError: the number of rows is no multiple of `crops`.
    """
    rows, support = log_prob.shape
    if crops < 1 or rows % crops:
        raise ValueError(f"{rows} rows of log_prob are no multiple of crops={crops}")
    by_photo = log_prob.reshape(rows // crops, crops, support)
    return jax.nn.logsumexp(by_photo, axis=1) - math.log(crops)
