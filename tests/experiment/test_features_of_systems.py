"""Every system with one tower gives a photo and its stored features the same posterior, bit for bit."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from geosurge_jax.experiment import assembly
from geosurge_jax.experiment.experiment_config import parse
from geosurge_jax.experiment.geography import make_geography
from geosurge_jax.models.towers import make_tower

PHOTOS = 16
SYSTEMS = (
    "geosurge",
    "geoclip",
    "geodecoder",
    "cplanet",
    "planet_classifier",
    "mvmf",
    "nearest",
    "regression",
)


def host_batch(model, latlng):
    """Photos of noise with one view each."""
    rng = np.random.default_rng(1)
    side = model.system.preprocessing.image_size
    return {
        "image": rng.integers(0, 256, (PHOTOS, 1, side, side, 3), np.uint8),
        "segmentation": rng.integers(0, 150, (PHOTOS, 1, side, side), np.uint8),
        "latlng": latlng.astype(np.float32),
        "index": np.arange(PHOTOS, dtype=np.int32),
        "mask": np.ones(PHOTOS, np.float32),
        "scene": np.zeros((PHOTOS, 3), np.int32),
        **model.system.targets(latlng),
    }


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("geosurge", "float32"),
        *(
            pytest.param(name, dtype, marks=pytest.mark.slow)
            for name in SYSTEMS
            for dtype in ("float32", "bfloat16")
            if (name, dtype) != ("geosurge", "float32")
        ),
    ],
)
def test_features_give_the_posterior_of_the_photos(name, dtype):
    raw = importlib.import_module(f"configs.{name}").get_config("tiny")
    raw.system.compute_dtype = dtype
    config = parse(raw.to_dict())
    rng = np.random.default_rng(0)
    latlng = np.stack([rng.uniform(-70, 70, 300), rng.uniform(-180, 179, 300)], axis=1)
    model = assembly.make_model(config, make_geography(config, latlng))
    with jax.set_mesh(model.mesh):
        plan = assembly.plan_training(config, model, 1, 1)
        params = plan.state.create(jax.random.key(0)).evaluation_params()
        photos = host_batch(model, latlng[:PHOTOS])
        ((path, tower),) = model.system.towers.items()
        module = make_tower(tower, jnp.dtype(dtype))
        seen = jax.device_get(
            jax.jit(lambda p, x: module.apply({"params": p}, x, train=False))(
                params[path], model.evaluator.put({"image": photos["image"][:, 0]})["image"]
            )
        )
        kept = {key: value for key, value in photos.items() if key != "image"}
        kept["pooled"] = seen.pooled[:, None]
        if model.system.reads_tokens:
            kept["tokens"] = seen.tokens[:, None]
        places = []
        for batch in (photos, kept):
            index = ([batch], latlng[:PHOTOS]) if model.system.index_rows else (None, None)
            prepared = model.evaluator.prepare(params, *index)
            on_devices = model.evaluator.put(batch)
            views = {name: on_devices[name] for name in ("image", "segmentation")}
            one_view = jax.tree.map(lambda x: x[:, 0], views)
            found = jax.jit(model.system.posterior)(params, prepared, one_view)
            places.append(jax.device_get(found))
    assert np.isfinite(places[0].log_prob).all()
    # Photos are told apart, by the place where the system answers with one place for certain.
    support = places[0].latlng
    own_place = support.ndim == 3 and np.ptp(support[:, 0], axis=0).all()
    assert np.ptp(places[0].log_prob[:, 0]) > 0 or own_place
    jax.tree.map(np.testing.assert_array_equal, *places)
