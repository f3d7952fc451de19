"""A distribution over the Earth for each photo: the one type that every system's answer comes in."""

import jax
from flax import struct


@struct.dataclass
class Posterior:
    """Support points and the log-probability of each, for each photo.

    Attributes:
        latlng: degrees, float32: `[K, 2]` where the photos of the batch share their support (geocells, a
            gallery), `[B, K, 2]` where each photo has its own (nearest neighbours, regression).
        log_prob: natural logarithm `[B, K]`, float32; each row's exponentials sum to 1.
    """

    latlng: jax.Array
    log_prob: jax.Array
