"""Runs one of our parts on what an oracle was given and lays the two side by side."""

import dataclasses
import re
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from geosurge_jax.interop.families import TOWER_FAMILIES
from geosurge_jax.interop.loading import load_part
from geosurge_jax.interop.model_directory import StoredModel
from geosurge_jax.interop.part import part_of
from geosurge_jax.models.tower import ImageTower
from geosurge_jax.models.towers import make_tower
from geosurge_jax.training.parameters import flatten

TOLERANCE = 1e-5


def shapes_of(module, inputs):
    """Shapes of a part's parameters."""
    variables = jax.eval_shape(
        lambda: module.init(jax.random.key(0), **arguments_of(module, inputs))
    )
    return variables["params"]


def arguments_of(module, inputs):
    """Towers take an oracle's image as photos, and are told whether they are trained."""
    return {"photos": inputs["image"], "train": False} if isinstance(module, ImageTower) else inputs


def outputs(module, params, inputs):
    """Outputs of all submodules by path, blocks counted through, and `pooled` and `tokens`."""

    @jax.jit
    def run(params, inputs):
        return module.apply(
            {"params": params}, **arguments_of(module, inputs),
            capture_intermediates=True, mutable=["intermediates"],
        )  # fmt: skip

    result, variables = run(params, inputs)
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


def family_of(model_type):
    """The family of image towers that reads a model type."""
    return next(one for one in TOWER_FAMILIES.values() if model_type in one.model_types)


@cache
def tower_shapes(config):
    """Shapes of a tower's parameters, traced once for each config."""
    side = config.preprocessing.image_size
    image = jnp.zeros((1, side, side, 3), jnp.uint8)
    return shapes_of(make_tower(config, jnp.float32), {"image": image})


def load_tower(oracle):
    """Config and parameters of an oracle's tower, by the map of its family."""
    family = family_of(oracle.config["model_type"])
    config = family.read(oracle.config, oracle.preprocessor)
    where = Path(oracle.name)
    stored = StoredModel(where, oracle.config, oracle.preprocessor, oracle.weights, {})
    return config, load_part(part_of(stored, family, config, tower_shapes(config)))


def tower_errors(oracle):
    """Largest absolute difference at every place that an oracle of a tower names."""
    config, params = load_tower(oracle)
    return largest_differences(oracle, make_tower(config, jnp.float32), params)
