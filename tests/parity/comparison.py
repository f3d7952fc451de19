"""Runs one of our parts on what an oracle was given and lays the two side by side."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np

from geosurge_jax.training.parameters import flatten


def shapes_of(module, inputs):
    """Shapes of a part's parameters."""
    variables = jax.eval_shape(
        lambda: module.init(jax.random.key(0), **inputs, **train_argument(inputs))
    )
    return variables["params"]


def train_argument(inputs):
    return {"train": False} if "image" in inputs else {}


def outputs(module, params, inputs):
    """Outputs of all submodules by path, blocks counted through, and `pooled` and `tokens`."""
    result, variables = module.apply(
        {"params": params}, **inputs, **train_argument(inputs),
        capture_intermediates=True, mutable=["intermediates"],
    )  # fmt: skip
    frozen = module.config.segments[0] if hasattr(module.config, "segments") else 0
    found = {}
    for path, value in flatten(variables["intermediates"]).items():
        name = path.removesuffix("/__call__")
        match = re.fullmatch(r"(frozen|trained)_blocks_(\d+)(.*)", name)
        if match:
            number = int(match[2]) + (frozen if match[1] == "trained" else 0)
            name = f"blocks_{number:02d}{match[3]}"
        found[name] = jax.tree.leaves(value)[0]
    if dataclasses.is_dataclass(result):
        found |= {field.name: getattr(result, field.name) for field in dataclasses.fields(result)}
    else:
        found["pooled"] = result
    return found


def largest_differences(oracle, module, params):
    """Largest absolute difference of each of an oracle's named arrays."""
    found = outputs(module, params, {k: jnp.asarray(v) for k, v in oracle.inputs.items()})
    differences = {}
    for name, expected in oracle.expected.items():
        ours = np.asarray(found[name], np.float64)
        assert ours.shape == expected.shape, f"{name}: {ours.shape}, expected {expected.shape}"
        differences[name] = float(np.abs(ours - expected).max())
    return differences
