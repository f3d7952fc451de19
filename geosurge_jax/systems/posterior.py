"""A distribution over the Earth for each photo: the one type that every system's answer comes in."""

import jax
from flax import struct


@struct.dataclass
class Posterior:
    """Support points and the log-probability of each, for each photo.

    Attributes:
        latlng: degrees `[K, 2]`, float32, shared by the photos of the batch.
        log_prob: natural logarithm `[B, K]`, float32; each row's exponentials sum to 1.
    """

    latlng: jax.Array
    log_prob: jax.Array
