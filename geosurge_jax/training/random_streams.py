"""Random keys by name and step: a pure function, so there is nothing to checkpoint."""

import zlib

import jax


def stream(root: jax.Array, name: str, step: jax.Array | int = 0) -> jax.Array:
    """Key of the stream `name` at `step`.

    Args:
        root: typed key of the run.
        name: any text; streams of different names are independent.
        step: training step, traced or not.

    Returns:
        A typed key.
    """
    return jax.random.fold_in(jax.random.fold_in(root, zlib.crc32(name.encode())), step)
