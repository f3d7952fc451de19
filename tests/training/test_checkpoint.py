import shutil
from dataclasses import replace

import chex
import jax
import numpy as np
import pytest

from configs.geosurge import get_config
from geosurge_jax.experiment.experiment_config import parse
from geosurge_jax.training.checkpoint import Checkpointer, Progress
from geosurge_jax.training.stored_parameters import restore_evaluation_params

PREPROCESSING = parse(get_config("tiny").to_dict()).system.visual.preprocessing


def parts(abstract):
    """Trained and frozen parameters of an abstract training state."""
    return abstract.trained, abstract.frozen


def checkpointer(directory, keep=2):
    return Checkpointer(
        directory,
        preprocessing=PREPROCESSING,
        keep=keep,
        watched="validation/loss",
        minimize=True,
    )


@pytest.fixture(scope="module")
def saved(trainer, tmp_path_factory):
    """Checkpoints of steps 1 to 5, the best at step 2, step 3 without an evaluation."""
    directory = tmp_path_factory.mktemp("run") / "checkpoints"
    run, states, progress = trainer((1, 1, 1), averaged=True), {}, Progress()
    state, keeper = run.create(), checkpointer(directory)
    for step, loss in enumerate((3.0, 1.0, None, 2.0, 2.5), start=1):
        state, _ = run.run(1, state)
        states[step] = jax.device_get(state)
        best = loss is not None and (progress.best is None or loss < progress.best)
        progress = replace(progress, step=step, next_index=step)
        if best:
            progress = replace(progress, best=loss, best_step=step)
        metrics = {} if loss is None else {"validation/loss": loss, "validation/other": 0.0}
        keeper.save(state, progress, metrics)
    keeper.close()
    return directory, states


def test_newest_and_best_are_kept(saved):
    directory, _ = saved
    assert sorted(int(p.name) for p in directory.iterdir() if p.name.isdigit()) == [2, 4, 5]


def test_the_best_is_kept_after_a_restart(saved, trainer, tmp_path):
    directory = tmp_path / "checkpoints"
    shutil.copytree(saved[0], directory)
    run, keeper = trainer((1, 1, 1), averaged=True), checkpointer(directory)
    state, progress = keeper.restore(run.plan.abstract)
    for step, loss in ((6, None), (7, 2.2), (8, None)):
        progress = replace(progress, step=step, next_index=step)
        keeper.save(state, progress, {} if loss is None else {"validation/loss": loss})
    keeper.close()
    assert sorted(int(p.name) for p in directory.iterdir() if p.name.isdigit()) == [2, 7, 8]


def test_restored_state_is_the_saved_bits_on_any_mesh(saved, trainer):
    directory, states = saved
    for shape in ((1, 1, 1), (2, 2, 2)):
        run, keeper = trainer(shape, averaged=True), checkpointer(directory)
        state, progress = keeper.restore(run.plan.abstract)
        keeper.close()
        chex.assert_trees_all_equal(jax.device_get(state), states[5])
        assert progress == Progress(step=5, next_index=5, best=1.0, best_step=2)
        assert state.trained["table"]["level_0"].sharding.mesh.shape["model"] == shape[1]


@pytest.mark.parametrize(("which", "step"), [("best", 2), ("latest", 5), ("4", 4)])
def test_evaluation_reads_the_averaged_parameters_of_the_chosen_step(saved, trainer, which, step):
    directory, states = saved
    params, found = restore_evaluation_params(
        directory,
        *parts(trainer((1, 1, 1), averaged=True).plan.abstract),
        PREPROCESSING,
        averaged=True,
        which=which,
        minimize=True,
    )
    assert found == step
    chex.assert_trees_all_equal(jax.device_get(params), states[step].evaluation_params())
    assert not np.array_equal(params["head"]["kernel"], states[step].trained["head"]["kernel"]), (
        "averaged, not raw"
    )


def test_missing_checkpoints_are_named(saved, trainer, tmp_path):
    abstract = trainer((1, 1, 1), averaged=True).plan.abstract
    with pytest.raises(FileNotFoundError, match="no checkpoint here; train first"):
        restore_evaluation_params(
            tmp_path / "nowhere",
            *parts(abstract),
            PREPROCESSING,
            averaged=True,
            which="best",
            minimize=True,
        )
    with pytest.raises(FileNotFoundError, match=r"config.evaluation.checkpoint='9'.*\[2, 4, 5\]"):
        restore_evaluation_params(
            saved[0], *parts(abstract), PREPROCESSING, averaged=True, which="9", minimize=True
        )


def test_photos_that_would_look_different_to_the_model_are_refused(saved, trainer):
    abstract = trainer((1, 1, 1), averaged=True).plan.abstract
    other = replace(PREPROCESSING, mean=(0.5, 0.5, 0.4))
    with pytest.raises(
        ValueError, match=r"preprocessing.mean=\[0.5, 0.5, 0.5\], expected \[0.5, 0.5, 0.4\]"
    ):
        restore_evaluation_params(
            saved[0], *parts(abstract), other, averaged=True, which="best", minimize=True
        )
