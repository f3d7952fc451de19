"""Parameters by path: which are trained, which are frozen, and a table of them."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flax import traverse_util


def flatten(params: Mapping[str, Any]) -> dict[str, Any]:
    """Nested dict to `{"a/b/c": leaf}`."""
    return traverse_util.flatten_dict(dict(params), sep="/")


def unflatten(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `flatten`."""
    return traverse_util.unflatten_dict(dict(flat), sep="/")


def split_frozen(
    params: Mapping[str, Any], frozen_rules: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parts parameters into trained and frozen ones by path.

    Only the trained part meets the optimiser and the gradient, so the frozen one has neither optimiser
    state nor a backward pass.

    Args:
        params: nested dict of arrays or shapes.
        frozen_rules: regular expressions searched in `a/b/c`.

    Returns:
        (trained, frozen), nested dicts without empty branches.

    Raises:
        ValueError: a rule that matches no parameter, or rules that leave nothing to train.
    """
    flat = flatten(params)
    for rule in frozen_rules:
        if not any(re.search(rule, path) for path in flat):
            raise ValueError(f"freeze rule {rule!r} matches no parameter; paths: {sorted(flat)}")
    frozen = {
        path: leaf
        for path, leaf in flat.items()
        if any(re.search(rule, path) for rule in frozen_rules)
    }
    trained = {path: leaf for path, leaf in flat.items() if path not in frozen}
    if not trained:
        raise ValueError(f"freeze rules {list(frozen_rules)} leave no parameter to train")
    return unflatten(trained), unflatten(frozen)


def merge(trained: Mapping[str, Any], frozen: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `split_frozen`."""
    return unflatten({**flatten(trained), **flatten(frozen)})


@dataclass(frozen=True)
class ParameterRow:
    """Size of one part of a system, the first component of its paths.

    Attributes:
        part: its name.
        trained: number of trained scalars.
        frozen: number of frozen scalars.
    """

    part: str
    trained: int
    frozen: int


def parameter_table(
    trained: Mapping[str, Any], frozen: Mapping[str, Any]
) -> tuple[ParameterRow, ...]:
    """Counts scalars for each part, with a row "total" last."""

    def count(flat: Iterable[tuple[str, Any]], part: str) -> int:
        return sum(math.prod(leaf.shape) for path, leaf in flat if path.split("/")[0] == part)

    flat_trained, flat_frozen = flatten(trained), flatten(frozen)
    parts = dict.fromkeys(path.split("/")[0] for path in [*flat_frozen, *flat_trained])
    rows = [
        ParameterRow(part, count(flat_trained.items(), part), count(flat_frozen.items(), part))
        for part in parts
    ]
    total = ParameterRow("total", sum(row.trained for row in rows), sum(row.frozen for row in rows))
    return (*rows, total)
