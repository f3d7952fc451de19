"""The paper variants at full size, by shapes alone: nothing of them is ever computed here."""

import importlib
import math

import jax
import numpy as np
import pytest

from geosurge_jax.experiment.experiment_config import parse
from geosurge_jax.experiment.geography import planned_geography
from geosurge_jax.systems import SYSTEMS
from geosurge_jax.training.layout import plan_layout
from geosurge_jax.training.mesh import MeshConfig, make_mesh
from geosurge_jax.training.parameters import flatten

FILES = ("cplanet", "isn", "mvmf", "nearest", "planet_classifier", "regression")
# He et al. 2015 without the classifier; the last two vectors of each normalisation are its statistics.
RESNET_50, RESNET_101 = 23_508_032 + 53_120, 42_500_160 + 105_344


@pytest.fixture(scope="module")
def published():
    made = {}

    def make(file):
        if file not in made:
            config = parse(importlib.import_module(f"configs.{file}").get_config().to_dict())
            geography = planned_geography(config)
            entry = SYSTEMS[config.system_name]
            system = entry.build(config.system, geography.hierarchy, geography.survey)
            side = system.preprocessing.image_size
            batch = {
                "image": np.zeros((1, side, side, 3), np.uint8),
                "segmentation": np.zeros((1, side, side), np.uint8),
            }
            made[file] = system, jax.eval_shape(system.init, jax.random.key(0), batch)
        return made[file]

    return make


def scalars(params, prefix):
    leaves = {p: math.prod(a.shape) for p, a in flatten(params).items() if p.startswith(prefix)}
    return sum(leaves.values())


@pytest.mark.parametrize("file", FILES)
def test_every_parameter_has_a_place_on_a_mesh(published, file):
    system, params = published(file)
    rows = plan_layout(params, system.partition_rules, make_mesh(MeshConfig(2, 2, 2)))
    whole = sum(4 * math.prod(row.shape) for row in rows)
    held = sum(row.bytes_per_device for row in rows)
    assert held < 0.6 * whole, "tables and towers are not split"


@pytest.mark.parametrize("file", FILES)
def test_variants_are_what_the_boundary_takes(file):
    module = importlib.import_module(f"configs.{file}")
    assert {"paper", "tiny", "demo", "folder"} <= set(module.VARIANTS)
    names = {parse(module.get_config(variant).to_dict()).name for variant in module.VARIANTS}
    # Only a ladder's last step is the demo by another name.
    assert len(names) == len({module.VARIANTS[variant] for variant in module.VARIANTS})
    with pytest.raises(ValueError, match=f"configs/{file}.py:huge: expected one of"):
        module.get_config("huge")


def test_isn_is_three_residual_networks_over_the_published_cells(published):
    _, params = published("isn")
    for scene in range(3):
        assert scalars(params, f"scenes_{scene}/") == RESNET_101
        rows = [params[f"table_{scene}"][f"level_{level}"].shape for level in range(3)]
        assert rows == [(4096, 2048), (8192, 2048), (13312, 2048)]


def test_planet_has_its_cells(published):
    system, params = published("planet_classifier")
    assert dict(system.description)["level 0"].startswith("26263 geocells")
    assert scalars(params, "visual/") == RESNET_50


def test_cplanet_has_sets_of_about_the_planned_sizes(published):
    """Evenly spread places stand for MP-16: a set of at most 1000 photos a class has some ten thousand."""
    system, _ = published("cplanet")
    sizes = [int(text.split()[0]) for name, text in system.description if name.startswith("set ")]
    assert len(sizes) == 6
    assert all(4_000 < size < 30_000 for size in sizes) and sizes[0] == max(sizes)
    intersections = int(dict(system.description)["intersections"].split()[0])
    assert intersections > 0.9 * 12893
