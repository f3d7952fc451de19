import numpy as np
import pytest

from geosurge_jax.training.parameters import (
    ParameterRow,
    flatten,
    merge,
    parameter_table,
    split_frozen,
)

PARAMS = {
    "tower": {"low": {"kernel": np.ones((2, 3))}, "high": {"kernel": np.ones(4)}},
    "head": {"bias": np.ones(5)},
}


def test_split_and_merge_are_inverse():
    trained, frozen = split_frozen(PARAMS, (r"^tower/low/",))
    assert set(flatten(trained)) == {"tower/high/kernel", "head/bias"}
    assert set(flatten(frozen)) == {"tower/low/kernel"}
    assert flatten(merge(trained, frozen)).keys() == flatten(PARAMS).keys()


def test_a_rule_that_matches_nothing_is_an_error():
    with pytest.raises(ValueError, match=r"freeze rule '\^towr/' matches no parameter"):
        split_frozen(PARAMS, (r"^towr/",))
    with pytest.raises(ValueError, match="leave no parameter to train"):
        split_frozen(PARAMS, (".",))


def test_table_counts_scalars_by_part():
    rows = parameter_table(*split_frozen(PARAMS, (r"^tower/low/",)))
    assert ParameterRow("tower", 4, 6) in rows
    assert rows[-1] == ParameterRow("total", 9, 6)
