"""A small GeoSURGE over a small hierarchy, shared by the tests of the training room."""

import math

import jax
import numpy as np
import pytest

from configs.geosurge import get_config
from geosurge_jax.experiment.experiment_config import parse
from geosurge_jax.geo import build_hierarchy
from geosurge_jax.systems.geosurge import build
from geosurge_jax.training.mesh import MeshConfig, make_mesh, put_batch
from geosurge_jax.training.optimizer import OptimizerConfig, learning_rate, make_optimizer
from geosurge_jax.training.state import plan_state
from geosurge_jax.training.step import gradient_and_sums, make_train_step

BATCH = 16


@pytest.fixture(scope="session")
def hierarchy():
    rng = np.random.default_rng(0)
    latlng = np.stack([rng.uniform(-70, 70, 1500), rng.uniform(-180, 179, 1500)], axis=1)
    return build_hierarchy(latlng, max_images=(400, 40), min_images=4)


@pytest.fixture(scope="session")
def system(hierarchy):
    config = get_config("tiny")
    config.system.visual.preprocessing.image_size = 16
    config.system.visual.update(trained_blocks=1, scan=True, remat=True, dropout=0.1)
    config.system.update(embedding_width=8, table_row_multiple=32)
    return build(parse(config.to_dict()).system, hierarchy, {})


@pytest.fixture(scope="session")
def host_batch(system):
    rng = np.random.default_rng(1)
    latlng = np.stack([rng.uniform(-70, 70, BATCH), rng.uniform(-180, 179, BATCH)], axis=1)
    mask = np.ones(BATCH, np.float32)
    mask[3] = 0
    return {
        "image": rng.integers(0, 256, (BATCH, 16, 16, 3)).astype(np.uint8),
        "segmentation": rng.integers(0, 150, (BATCH, 16, 16)).astype(np.uint8),
        "index": np.arange(BATCH, dtype=np.int32),
        "mask": mask,
        **system.targets(latlng),
    }


@pytest.fixture(scope="session")
def optimizer():
    config = OptimizerConfig(
        learning_rate=1e-3,
        schedule="constant",
        warmup_steps=0,
        weight_decay=1e-4,
        clip_norm=1.0,
        b1=0.9,
        b2=0.999,
    )
    return make_optimizer(config, learning_rate(config, 100, 10))


class Trainer:
    """A mesh with a state plan and a compiled step on it."""

    def __init__(self, system, optimizer, host_batch, shape, accumulation=1, averaged=False):
        devices = jax.devices()[: math.prod(shape)]
        self.mesh = make_mesh(MeshConfig(*shape), devices)
        self.host_batch, self.system = host_batch, system
        with jax.set_mesh(self.mesh):
            self.plan = plan_state(system, optimizer, host_batch, self.mesh, averaged=averaged)
            self.step = make_train_step(
                system,
                optimizer,
                self.plan,
                jax.random.key(7),
                accumulation=accumulation,
                average_decay=0.9,
            )

    def create(self):
        with jax.set_mesh(self.mesh):
            return self.plan.create(jax.random.key(0))

    def run(self, steps, state=None):
        """Returns the state after `steps` and the mean loss of each."""
        with jax.set_mesh(self.mesh):
            state, losses = self.create() if state is None else state, []
            for _ in range(steps):
                state, sums = self.step(state, put_batch(self.mesh, self.host_batch))
                losses.append(float(sums["loss"][0] / sums["loss"][1]))
        return state, losses

    def gradient(self):
        """Gradient and metric sums at the initial state, fetched."""
        with jax.set_mesh(self.mesh):
            batch = put_batch(self.mesh, self.host_batch)
            compute = jax.jit(
                lambda state, batch: gradient_and_sums(
                    self.system, state, batch, jax.random.key(3), 1
                )
            )
            return jax.device_get(compute(self.create(), batch))

    def compiled_text(self):
        with jax.set_mesh(self.mesh):
            batch = put_batch(self.mesh, self.host_batch)
            return self.step.lower(self.plan.abstract, batch).compile().as_text()


@pytest.fixture(scope="session")
def trainer(system, optimizer, host_batch):
    made = {}

    def make(shape, **options):
        key = (shape, tuple(options.items()))
        if key not in made:
            made[key] = Trainer(system, optimizer, host_batch, shape, **options)
        return made[key]

    return make
