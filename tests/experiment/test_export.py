import json
import os
import subprocess
import sys
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from configs.geosurge import get_config
from geosurge_jax.experiment import assembly, export, train
from geosurge_jax.experiment.experiment_config import parse
from geosurge_jax.experiment.geography import Geography, save_geography
from geosurge_jax.experiment.workdir import Workdir, write_json
from geosurge_jax.geo import build_hierarchy
from geosurge_jax.interop.families import TOWER_FAMILIES
from geosurge_jax.interop.loading import load_part
from geosurge_jax.interop.model_directory import open_model
from geosurge_jax.interop.parameters import load_safetensors
from geosurge_jax.interop.part import part_of
from geosurge_jax.training.checkpoint import Progress
from geosurge_jax.training.parameters import flatten
from geosurge_jax.training.stored import CheckpointError
from geosurge_jax.training.stored_parameters import restore_parameters


def config():
    changed = get_config("tiny")
    changed.training.average_decay = 0.9
    changed.system.visual.trained_blocks = 1  # some parameters are frozen
    return changed.to_dict()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A workdir with one checkpoint, its model, and the parameters that evaluation uses."""
    workdir, raw = Workdir(tmp_path_factory.mktemp("run")), config()
    rng = np.random.default_rng(0)
    latlng = np.stack([rng.uniform(-70, 70, 300), rng.uniform(-180, 179, 300)], axis=1)
    geography = Geography(build_hierarchy(latlng, max_images=(100, 30), min_images=4), {})
    save_geography(workdir, geography)
    write_json(workdir.record, {"config": raw})
    model = assembly.make_model(parse(raw), geography)
    with jax.set_mesh(model.mesh):
        plan = assembly.plan_training(parse(raw), model, 1, 1).state
        state = plan.create(jax.random.key(0))
        average = jax.tree.map(lambda leaf: leaf * 1.0009765625, state.trained)
        state = state.replace(average=average)
        with train.open_checkpointer(parse(raw), model, workdir) as keeper:
            keeper.save(state, Progress(step=3), {})
    return workdir, model, jax.device_get(state.evaluation_params())


def posterior(model, params):
    rng = np.random.default_rng(1)
    side = model.system.preprocessing.image_size
    batch = {
        "image": rng.integers(0, 256, (8, side, side, 3)).astype(np.uint8),
        "segmentation": rng.integers(0, 150, (8, side, side)).astype(np.uint8),
    }
    with jax.set_mesh(model.mesh):
        return jax.device_get(jax.jit(model.system.posterior)(params, {}, batch).log_prob)


def test_float32_loads_back_in_the_same_bits(trained, capsys):
    workdir, model, params = trained
    export.run(config(), workdir.root, "float32", export.DEFAULT_FORMATS)
    loaded, metadata = load_safetensors(workdir.export / "parameters.safetensors")
    chex.assert_trees_all_equal(loaded, params)
    chex.assert_trees_all_equal(restore_parameters(workdir.export / "orbax"), params)
    np.testing.assert_array_equal(posterior(model, loaded), posterior(model, params))
    assert metadata["step"] == "3" and metadata["system"] == "geosurge"
    assert metadata["dtype"] == "float32" and metadata["jax"] == jax.__version__
    assert "step 3 as float32" in capsys.readouterr().out
    described = json.loads((workdir.export / "config.json").read_text())
    assert described["run"]["config"] == json.loads(json.dumps(config()))
    assert (workdir.export / "geocells.npz").read_bytes() == workdir.geocells.read_bytes()


def test_bfloat16_is_the_nearest_and_replaces_an_earlier_export(trained):
    workdir, _, params = trained
    workdir.export.mkdir(exist_ok=True)
    (workdir.export / "earlier").touch()
    export.run(config(), workdir.root, "bfloat16", export.DEFAULT_FORMATS)
    loaded, metadata = load_safetensors(workdir.export / "parameters.safetensors")
    expected = {name: leaf.astype(ml_dtypes.bfloat16) for name, leaf in flatten(params).items()}
    for read in (loaded, restore_parameters(workdir.export / "orbax")):
        assert set(flatten(read)) == set(expected)
        for name, leaf in flatten(read).items():
            assert leaf.dtype == jnp.bfloat16 and leaf.tobytes() == expected[name].tobytes()
    assert metadata["dtype"] == "bfloat16"
    assert sorted(path.name for path in workdir.export.iterdir()) == [
        "config.json", "exported_model.py", "flatbuffers", "geocells.npz", "location_data.npz", "orbax",
        "parameters.safetensors", "posterior.stablehlo", "prepared.safetensors", "towers",
    ]  # fmt: skip
    assert not [path for path in workdir.root.iterdir() if path.name.startswith(".export")]


ONLY_JAX = """
import importlib.abc, sys

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {FORBIDDEN}:
            raise ImportError(f"{name} is not JAX")

sys.meta_path.insert(0, Refuse())
import numpy as np
from exported_model import load

model = load(sys.argv[1])
given = np.load("given.npz")
latlng, log_prob = model(given["image"], given["segmentation"])
_, without = model(given["image"][:1])
np.savez("found.npz", latlng=latlng, log_prob=log_prob, without=without)
print(model.description["preprocessing"]["image_size"], model.artefact.platforms)
import flatbuffers
assert flatbuffers.__file__.startswith(sys.argv[1])
"""
FORBIDDEN = (
    "flax",
    "orbax",
    "optax",
    "geosurge_jax",
    "safetensors",
    "etils",
    "tensorstore",
    "grain",
)


@pytest.mark.parametrize("dtype", ["float32", pytest.param("bfloat16", marks=pytest.mark.slow)])
def test_the_artefact_gives_the_same_bits_in_a_process_that_has_only_jax(trained, tmp_path, dtype):
    workdir, model, params = trained
    export.run(config(), workdir.root, dtype, export.DEFAULT_FORMATS)
    rng, side = np.random.default_rng(1), model.system.preprocessing.image_size
    batch = {
        "image": rng.integers(0, 256, (3, side, side, 3)).astype(np.uint8),
        "segmentation": rng.integers(0, 150, (3, side, side)).astype(np.uint8),
    }
    np.savez(tmp_path / "given.npz", **batch)
    script = ONLY_JAX.replace("{FORBIDDEN}", repr(FORBIDDEN))
    done = subprocess.run(
        [sys.executable, "-c", script, str(workdir.export)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(workdir.export)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{side} ('cpu', 'cuda', 'tpu')\n"
    found = np.load(tmp_path / "found.npz")
    cast = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), params)
    answer = jax.jit(model.system.posterior)
    np.testing.assert_array_equal(found["log_prob"], answer(cast, {}, batch).log_prob)
    np.testing.assert_array_equal(found["latlng"], answer(cast, {}, batch).latlng)
    unknown = {"image": batch["image"][:1], "segmentation": np.full((1, side, side), 255, np.uint8)}
    np.testing.assert_array_equal(found["without"], answer(cast, {}, unknown).log_prob)


def test_a_tower_goes_out_and_comes_back_in_the_same_bits(trained):
    workdir, model, params = trained
    export.run(config(), workdir.root, "float32", export.DEFAULT_FORMATS)
    stored = open_model(workdir.export / "towers/visual")
    family = TOWER_FAMILIES["clip"]
    tower = model.system.towers["visual"]
    theirs = family.read(stored.config, stored.preprocessor)
    assert theirs.preprocessing == tower.preprocessing and theirs.size == tower.size
    shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), params["visual"])
    chex.assert_trees_all_equal(
        jax.device_get(load_part(part_of(stored, family, tower, shapes))), params["visual"]
    )
    assert "vision_model.encoder.layers.1.self_attn.q_proj.weight" in stored.tensors


def test_a_failed_export_leaves_the_earlier_one(trained, monkeypatch):
    workdir, _, _ = trained
    workdir.export.mkdir(exist_ok=True)
    (workdir.export / "earlier").touch()

    def full(*_):
        raise OSError("no space")

    monkeypatch.setattr(export, "write_exported", full)
    with pytest.raises(OSError, match="no space"):
        export.run(config(), workdir.root, "float32", export.DEFAULT_FORMATS)
    assert (workdir.export / "earlier").exists()


def test_a_damaged_checkpoint_is_not_exported(trained):
    workdir, _, _ = trained
    path = Path(workdir.checkpoints / "3/progress/metadata")
    content = path.read_bytes()
    path.write_bytes(content[:-9])
    with pytest.raises(CheckpointError, match="damaged: step 3: progress: JSONDecodeError"):
        export.run(config(), workdir.root, "float32", export.DEFAULT_FORMATS)
    path.write_bytes(content)
