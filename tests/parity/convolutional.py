"""How a frozen model of another library is run as one of ours, for towers whose paths need no rearranging."""

import re

import jax
import jax.numpy as jnp
import numpy as np

from geosurge_jax.interop.family import Family
from geosurge_jax.training.parameters import flatten, unflatten
from tests.parity.oracle import Oracle

TOLERANCE = 1e-5


def parameters(oracle: Oracle, family: Family, config):
    """Our parameters from their tensors, and the names of the tensors that the map leaves."""
    entries = family.entries(config)
    prefix = next(
        p for p in family.prefixes if all(p + entry.name in oracle.weights for entry in entries)
    )
    flat = {e.path: e.transform.to_ours(oracle.weights[prefix + e.name]) for e in entries}
    left = set(oracle.weights) - {prefix + entry.name for entry in entries}
    return unflatten(flat), {n for n in left if not any(re.search(p, n) for p in family.ignored)}


def errors(oracle: Oracle, family: Family) -> dict[str, float]:
    """Greatest absolute difference at every place that the oracle names."""
    config = family.read(oracle.config, oracle.preprocessor)
    params, left = parameters(oracle, family, config)
    assert not left
    module, image = config.build(jnp.float32), jnp.asarray(oracle.inputs["image"])

    @jax.jit
    def run(params):
        return module.apply(
            {"params": params},
            image,
            train=False,
            capture_intermediates=True,
            mutable="intermediates",
        )

    features, state = run(params)
    calls = flatten(state["intermediates"])
    found = {path.removesuffix("/__call__"): value[0] for path, value in calls.items()}
    found |= {"pooled": features.pooled, "tokens": features.tokens}
    differences = {}
    for path, expected in oracle.expected.items():
        ours = np.asarray(found[path])
        assert ours.shape == expected.shape, path
        differences[path] = float(np.abs(ours - expected).max())
    return differences
