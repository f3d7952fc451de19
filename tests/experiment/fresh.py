"""A workdir whose run has a checkpoint, though nothing was trained."""

import jax
import numpy as np

from geosurge_jax.experiment import assembly, train
from geosurge_jax.experiment.experiment_config import parse
from geosurge_jax.experiment.geography import make_geography, save_geography
from geosurge_jax.experiment.workdir import Workdir, write_json
from geosurge_jax.training.checkpoint import Progress


def claimed(root, raw):
    """A workdir that belongs to a run of this config, and its model."""
    workdir, config = Workdir(root), parse(raw)
    rng = np.random.default_rng(0)
    latlng = np.stack([rng.uniform(-70, 70, 60), rng.uniform(-180, 179, 60)], axis=1)
    geography = make_geography(config, latlng)
    save_geography(workdir, geography)
    write_json(workdir.record, {"config": raw})
    return workdir, assembly.make_model(config, geography)


def checkpoint(root, raw):
    """The same with one checkpoint of fresh parameters, and those on the host."""
    (workdir, model), config = claimed(root, raw), parse(raw)
    with jax.set_mesh(model.mesh):
        state = assembly.plan_training(config, model, 1, 1).state.create(jax.random.key(0))
        with train.open_checkpointer(config, model, workdir) as keeper:
            keeper.save(state, Progress(step=3), {})
    return workdir, model, jax.device_get(state.evaluation_params())
