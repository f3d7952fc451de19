"""What every system has to keep of the contract, checked on a small one; and the parts that tests share."""

import jax
import numpy as np
from jax.sharding import NamedSharding

from geosurge_jax.evaluation.index import split_rows
from geosurge_jax.experiment.experiment_config import parse
from geosurge_jax.geo import build_hierarchy
from geosurge_jax.models.towers import make_tower
from geosurge_jax.training.layout import plan_layout
from geosurge_jax.training.mesh import MeshConfig, make_mesh, put_batch
from geosurge_jax.training.parameters import flatten, merge, split_frozen, unflatten

PHOTOS, SIDE, TRAINING_PHOTOS = 8, 16, 500


def training_places():
    rng = np.random.default_rng(0)
    places = [rng.uniform(-70, 70, TRAINING_PHOTOS), rng.uniform(-180, 179, TRAINING_PHOTOS)]
    return np.stack(places, axis=1)


def small_hierarchy(max_images=(200, 20)):
    return build_hierarchy(training_places(), max_images=max_images, min_images=4)


def small_batch(system, scenes=(0, 1, 2, -1, 0, 1, 2, -1)):
    """Eight photos of noise at training places; scenes by number, -1 unknown."""
    rng = np.random.default_rng(1)
    latlng = training_places()[rng.integers(0, TRAINING_PHOTOS, PHOTOS)]
    return {
        "image": rng.integers(0, 256, (PHOTOS, SIDE, SIDE, 3)).astype(np.uint8),
        "segmentation": rng.integers(0, 150, (PHOTOS, SIDE, SIDE)).astype(np.uint8),
        "scene": np.tile(np.array(scenes, np.int32)[:, None], (1, 3)),
        "latlng": latlng.astype(np.float32),
        **system.targets(latlng),
    }


def made(system, batch):
    """Parameters, none of them where a zero start would hide a mistake."""
    params = flatten(jax.device_get(jax.jit(system.init)(jax.random.key(0), batch)))
    rng = np.random.default_rng(2)
    for path, leaf in params.items():
        assert leaf.dtype == np.float32, path
        if path.endswith("bias") or "/bias_" in path:
            params[path] = leaf + rng.normal(size=leaf.shape).astype(np.float32)
    return unflatten(params)


def answering(system):
    """Jits all there is to ask: loss [B], metrics, posterior, and gradient of the trained parameters."""

    def ask(params, batch, index):
        trained, frozen = split_frozen(params, system.frozen_rules)

        def summed(part):
            loss, metrics = system.loss(merge(part, frozen), system.memory(), batch, None)
            return loss.sum(), (loss, metrics)

        gradient, (loss, metrics) = jax.grad(summed, has_aux=True)(trained)
        posterior = system.posterior(params, system.prepare(params, index), batch)
        return loss, metrics, posterior, gradient

    return jax.jit(ask)


def check_contract(system, params, batch, index=None, *, mesh=True):
    """Finite losses, normalised answers, a gradient for all that is trained, and the same on a mesh.

    Returns:
        Loss [B], metrics, posterior, and the compiled function that gave them.
    """
    index = {} if index is None else index
    ask = answering(system)
    found = loss, metrics, posterior, gradient = ask(params, batch, index)
    assert loss.shape == (PHOTOS,) and loss.dtype == np.float32 and np.all(np.isfinite(loss))
    for value, weight in metrics.values():
        assert value.shape == weight.shape == (PHOTOS,) and np.all(np.isfinite(value * weight))
    check_posterior(posterior)
    for path, leaf in flatten(gradient).items():
        assert np.all(np.isfinite(leaf)) and np.any(leaf), f"no gradient reaches {path}"
    for shape in ((8, 1, 1), (1, 1, 8)):
        assert plan_layout(params, system.partition_rules, make_mesh(MeshConfig(*shape)))
    if not mesh:
        return loss, metrics, posterior, ask
    sharded = on_mesh(system, ask, params, batch, index, (2, 2, 2))
    for one, other in zip(jax.tree.leaves(sharded), jax.tree.leaves(found), strict=True):
        scale = max(1.0, float(np.abs(other).max()))
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-5 * scale)
    return loss, metrics, posterior, ask


def check_posterior(posterior):
    np.testing.assert_allclose(np.exp(posterior.log_prob).sum(axis=1), 1.0, rtol=1e-5)
    latlng = np.asarray(posterior.latlng)
    support = posterior.log_prob.shape[1]
    assert latlng.shape in ((support, 2), (PHOTOS, support, 2)) and latlng.dtype == np.float32
    assert np.all(np.abs(latlng) <= [90.0, 180.0])


def on_mesh(system, ask, params, batch, index, shape):
    """What `ask` answers on a mesh, everything lying where training and evaluation put it."""
    mesh = make_mesh(MeshConfig(*shape))
    specs = {row.path: row.spec for row in plan_layout(params, system.partition_rules, mesh)}
    with jax.set_mesh(mesh):
        placed = {
            path: jax.device_put(leaf, NamedSharding(mesh, specs[path]))
            for path, leaf in flatten(params).items()
        }
        rows = {name: split_rows(np.asarray(value), mesh) for name, value in index.items()}
        return jax.device_get(ask(unflatten(placed), put_batch(mesh, batch), rows))


def pooled(config, params, batch, path="visual"):
    """The tower's vectors `[B, D]` in float64: where the twins of the formulas begin."""
    tower = make_tower(config.visual, np.dtype(np.float32))
    features = jax.jit(lambda part, image: tower.apply({"params": part}, image, train=False))(
        params[path], batch["image"]
    )
    return np.asarray(features.pooled, np.float64)  # pyright: ignore


def log_softmax(scores):
    scores = scores - scores.max(axis=-1, keepdims=True)
    return scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))


def linear_scores(vectors, table, level, cells):
    """A linear classifier's scores `[B, K]` in float64."""
    weights = np.asarray(table[f"level_{level}"], np.float64)[:cells]
    return vectors @ weights.T + np.asarray(table[f"bias_{level}"], np.float64)[:cells]


def small(config):
    """A tiny variant's system section, smaller still, as the boundary parses it."""
    config.system.visual.preprocessing.image_size = SIDE
    config.system.visual.trained_blocks = 1
    if "table_row_multiple" in config.system:
        config.system.table_row_multiple = 32
    return parse(config.to_dict()).system
