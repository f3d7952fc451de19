"""What a loss remembers of earlier batches is part of the state: carried, donated, saved."""

import chex
import jax
import numpy as np
import pytest

from configs.geoclip import get_config
from geosurge_jax.experiment.experiment_config import parse
from geosurge_jax.systems.geoclip import build
from geosurge_jax.training.checkpoint import Checkpointer, Progress
from geosurge_jax.training.mesh import put_batch
from tests.training.conftest import Trainer

BATCH, SIDE = 8, 16


@pytest.fixture(scope="module", params=[20, 0], ids=["queue", "no-queue"])
def trainer(request, optimizer):
    config = get_config("tiny")
    config.system.visual.preprocessing.image_size = SIDE
    config.system.update(queue=request.param, gallery_block=8)
    rng = np.random.default_rng(0)
    places = np.stack([rng.uniform(-70, 70, 12), rng.uniform(-180, 179, 12)], axis=1)
    system = build(parse(config.to_dict()).system, None, {"gallery": places})
    return Trainer(system, optimizer, batch(0), (2, 2, 2))


def batch(number):
    rng = np.random.default_rng(number)
    mask = np.ones(BATCH, np.float32)
    mask[number % BATCH] = 0
    latlng = np.stack([rng.uniform(-70, 70, BATCH), rng.uniform(-180, 179, BATCH)], axis=1)
    return {
        "image": rng.integers(0, 256, (BATCH, SIDE, SIDE, 3)).astype(np.uint8),
        "segmentation": np.zeros((BATCH, SIDE, SIDE), np.uint8),
        "latlng": latlng.astype(np.float32),
        "mask": mask,
    }


def run(trainer, state, numbers):
    with jax.set_mesh(trainer.mesh):
        for number in numbers:
            state, _ = trainer.step(state, put_batch(trainer.mesh, batch(number)))
    return state


def test_a_restored_run_remembers_what_it_saw(trainer, tmp_path):
    straight = jax.device_get(run(trainer, trainer.create(), range(4)))
    half = run(trainer, trainer.create(), range(2))
    options = dict(
        preprocessing=trainer.system.preprocessing, keep=1, watched="loss", minimize=True
    )
    with Checkpointer(tmp_path / "checkpoints", **options) as keeper:
        keeper.save(half, Progress(step=2), {})
    with Checkpointer(tmp_path / "checkpoints", **options) as keeper:
        restored, _ = keeper.restore(trainer.plan.abstract)
    resumed = jax.device_get(run(trainer, restored, range(2, 4)))
    chex.assert_trees_all_equal(resumed, straight)
    newest_first = [batch(number) for number in (3, 2, 1)]
    expected = {
        "latlng": np.concatenate([one["latlng"] for one in newest_first])[:20],
        "valid": np.concatenate([one["mask"] for one in newest_first])[:20],
    }
    chex.assert_trees_all_equal(straight.memory, expected if trainer.system.memory() else {})
