import jax.numpy as jnp
import numpy as np
import pytest

from geosurge_jax.models.semantic import class_shares


@pytest.mark.parametrize(("classes", "dtype"), [(6, jnp.float32), (150, jnp.bfloat16)])
def test_shares_equal_a_bincount_of_each_cell(classes, dtype):
    rng = np.random.default_rng(0)
    class_map = rng.integers(0, classes + 9, (2, 12, 12)).astype(np.uint8)
    class_map[0, :5] = 255
    shares = np.asarray(class_shares(jnp.asarray(class_map), classes, grid=3, dtype=dtype))
    for photo in range(2):
        for row in range(3):
            for column in range(3):
                cell = class_map[photo, row * 4 : row * 4 + 4, column * 4 : column * 4 + 4]
                expected = np.bincount(cell[cell < classes], minlength=classes) / 16
                np.testing.assert_allclose(shares[photo, row * 3 + column], expected, atol=1e-7)


def test_an_unknown_map_has_no_shares():
    assert not np.any(class_shares(jnp.full((1, 8, 8), 255, jnp.uint8), classes=150, grid=2))
