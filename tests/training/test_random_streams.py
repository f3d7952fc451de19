import jax
import numpy as np

from geosurge_jax.training.random_streams import stream


def test_streams_differ_by_name_and_step_and_repeat():
    root = jax.random.key(0)
    keys = [stream(root, name, step) for name in ("init", "noise") for step in (0, 1, 2)]
    bits = {tuple(np.asarray(jax.random.key_data(key))) for key in keys}
    assert len(bits) == len(keys)
    traced = jax.jit(lambda step: jax.random.key_data(stream(root, "noise", step)))(2)
    np.testing.assert_array_equal(traced, jax.random.key_data(keys[-1]))
