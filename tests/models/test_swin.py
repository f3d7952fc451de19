import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from geosurge_jax.interop.families.swin import FAMILY
from geosurge_jax.models.swin_windows import (
    FAR_APART,
    cut_windows,
    join_windows,
    relative_positions,
    shift_mask,
)
from geosurge_jax.models.towers import make_tower
from tests.parity.comparison import TOLERANCE, load_tower, tower_errors
from tests.parity.oracle import thaw


@pytest.mark.parametrize("name", ["swin-padded", "swin-whole"])
def test_every_intermediate_equals_transformers(name):
    differences = tower_errors(thaw(name))
    assert {"stage_0", "stage_1", "stage_0/block_01/attention"} < differences.keys()
    assert max(differences.values()) < TOLERANCE, differences


def test_windows_are_the_squares_of_a_map_and_join_to_it():
    grid = np.arange(2 * 6 * 6 * 5).reshape(2, 6, 6, 5)
    windows = cut_windows(jnp.asarray(grid), 3)
    np.testing.assert_array_equal(windows[1, 1], grid[1, 0:3, 3:6].reshape(9, 5))
    np.testing.assert_array_equal(join_windows(windows, 6), grid)


def test_relative_positions_count_offsets_of_rows_and_columns():
    window = 3
    table = [(row, column) for row in range(-2, 3) for column in range(-2, 3)]
    found = relative_positions(window)
    for query in range(9):
        for key in range(9):
            row, column = np.subtract(divmod(query, window), divmod(key, window))
            assert table[found[query, key]] == (row, column)


@pytest.mark.parametrize(("side", "window", "shift"), [(8, 4, 2), (9, 3, 1), (6, 3, 1)])
def test_mask_keeps_apart_what_the_roll_brought_together(side, window, shift):
    row, column = np.divmod(np.arange(side * side), side)
    rolled = np.roll(np.stack([row, column], -1).reshape(side, side, 2), (-shift, -shift), (0, 1))
    here = np.asarray(
        cut_windows(jnp.asarray(np.stack([row, column], -1).reshape(1, side, side, 2)), window)
    )
    was = np.asarray(cut_windows(jnp.asarray(rolled[None]), window))
    # Two tokens are neighbours by the roll where it changed the offset between them.
    offset = [places[0][:, :, None] - places[0][:, None, :] for places in (here, was)]
    together = (offset[0] == offset[1]).all(-1)
    np.testing.assert_array_equal(shift_mask(side, window, shift), np.where(together, 0, FAR_APART))


def test_flops_of_a_small_tower_are_those_counted_by_hand():
    config = FAMILY.read(thaw("swin-padded").config, thaw("swin-padded").preprocessor)
    # Maps of 7 and 4 tokens a side, padded to 9 and 6 for windows of 3; widths 16 and 32.
    embedding = 49 * 16 * (4 * 4 * 3)
    first = 2 * (81 * 16 * 16 * 4 + 2 * 81 * 9 * 16 + 49 * 16 * 64 * 2)
    second = 16 * 64 * 32 + 2 * (36 * 32 * 32 * 4 + 2 * 36 * 9 * 32 + 16 * 32 * 128 * 2)
    assert config.flops == (0, 2 * (embedding + first + second))
    last = dataclasses.replace(config, trained_stages=1)
    assert last.flops == (2 * (embedding + first), 2 * second)


@pytest.mark.parametrize(("trained_stages", "random"), [(0, False), (1, True)])
def test_dropout_acts_in_trained_stages_alone(trained_stages, random):
    oracle = thaw("swin-whole")
    config, params = load_tower(oracle)
    config = dataclasses.replace(config, trained_stages=trained_stages, dropout=0.5)
    module, image = make_tower(config, jnp.float32), jnp.asarray(oracle.inputs["image"])

    @jax.jit
    def run(key):
        features, state = module.apply(
            {"params": params},
            image,
            train=True,
            rngs={"dropout": key},
            capture_intermediates=True,
            mutable="intermediates",
        )
        return features.pooled, state["intermediates"]["stage_0"]["__call__"][0]

    (pooled, frozen), (other, also_frozen) = run(jax.random.key(0)), run(jax.random.key(1))
    np.testing.assert_array_equal(frozen, also_frozen)
    assert (np.abs(pooled - other).max() > 0) == random
