import math
import signal

import jax.numpy as jnp
import numpy as np
import pytest

from geosurge_jax.training import loop, milestones
from geosurge_jax.training.checkpoint import Progress
from geosurge_jax.training.stopping import StoppedError, StopRequests

CONFIG = milestones.LoopConfig(
    total_steps=10,
    log_every=2,
    evaluate_every=2,
    checkpoint_every=3,
    watched="validation/loss",
    minimize=True,
    patience=2,
)


class CountingBatches:
    """Endless batches that tell their position."""

    def __init__(self):
        self.position = 0

    def __next__(self):
        self.position += 1
        return {"index": np.array([self.position])}

    def get_state(self):
        return {"next_index": self.position}

    def set_state(self, state):
        self.position = state["next_index"]


class Stop(StopRequests):
    """Asks for a stop at a numbered point."""

    def __init__(self, at=0):
        super().__init__()
        self.left = at

    def requested(self):
        self.left -= 1
        return signal.SIGTERM if self.left == 0 else None


class Recorder:
    """Stands for the checkpointer and the writer."""

    def __init__(self):
        self.saved, self.lines = [], []

    def latest_step(self):
        return self.saved[-1][0] if self.saved else None

    def save(self, state, progress, metrics):
        assert progress.next_index == progress.step
        self.saved.append((progress.step, float(state)))

    def check(self):
        pass

    def write(self, step, scalars):
        self.lines.append((step, sorted(scalars)))


def run(tmp_path, evaluations, losses=None, progress=None, recorder=None, stop=None):
    recorder, evaluations = recorder or Recorder(), iter(evaluations)
    progress = progress or Progress()

    def step(state, batch):
        value = (losses or {}).get(int(state) + 1, 1.0)
        return state + 1, {"loss": (jnp.asarray(value), jnp.asarray(1.0))}

    def evaluate(state):
        value = next(evaluations)
        if isinstance(value, Exception):
            raise value
        return {"validation/loss": value}

    batches = CountingBatches()
    batches.set_state({"next_index": progress.next_index})
    training = loop.Training(
        config=CONFIG,
        step=step,
        batches=batches,
        put=lambda batch: batch,
        evaluate=evaluate,
        checkpointer=recorder,
        writer=recorder,
        learning_rate=lambda step: 0.1,
        directory=tmp_path,
        record_ids=lambda index: [f"photo-{i}" for i in index],
        report=lambda step, loss: None,
        stop=stop or Stop(),
    )
    result = loop.train(training, jnp.asarray(float(progress.step)), progress)
    return result, recorder


def test_steps_evaluations_and_checkpoints_fall_where_they_should(tmp_path):
    (_, progress), recorder = run(tmp_path, [5.0, 4.0, 3.0, 2.0, 1.0])
    assert [step for step, _ in recorder.saved] == [2, 3, 4, 6, 8, 9, 10]
    assert all(step == state for step, state in recorder.saved)
    assert progress.step == 10 and progress.best == 1.0 and progress.best_step == 10


def test_patience_counts_evaluations_without_improvement(tmp_path):
    (_, progress), _ = run(tmp_path, [5.0, 4.0, 4.0, 4.5, 1.0])
    assert progress.step == 8 and progress.best == 4.0 and progress.best_step == 4


def test_a_finished_run_does_nothing(tmp_path):
    done = Progress(
        step=8, next_index=8, best=4.0, best_step=4, evaluations_since_best=2, evaluated_step=8
    )
    (_, progress), recorder = run(tmp_path, [], progress=done)
    assert progress == done and not recorder.saved


@pytest.mark.parametrize("bad_step", [3, 4, 10])
def test_a_loss_that_is_not_finite_stops_with_step_records_and_dump(tmp_path, bad_step):
    with pytest.raises(
        loop.NonFiniteLossError, match=rf"step {bad_step}: loss is nan.*photo-{bad_step};"
    ):
        run(tmp_path, [5.0, 4.0, 3.0, 2.0, 1.0], losses={bad_step: math.nan})
    with np.load(tmp_path / f"nonfinite-step-{bad_step}.npz") as dump:
        assert dump["index"].tolist() == [bad_step]


def test_a_state_whose_loss_is_not_finite_is_never_saved(tmp_path):
    recorder = Recorder()
    with pytest.raises(loop.NonFiniteLossError):
        run(tmp_path, [5.0, 4.0], losses={4: math.inf}, recorder=recorder)
    assert [step for step, _ in recorder.saved] == [2, 3]


def test_watching_a_metric_that_is_not_evaluated_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"config.training.watched='x'.*validation/loss"):
        milestones.watch(
            Progress(), {"validation/loss": 1.0}, milestones.LoopConfig(1, 1, 1, 1, "x", True, 0)
        )


@pytest.mark.parametrize("at", [3, 4])
def test_a_stop_saves_the_state_before_it_is_evaluated(tmp_path, at):
    recorder = Recorder()
    with pytest.raises(StoppedError, match=f"SIGTERM: the state after step {at} is saved"):
        run(tmp_path, [5.0], recorder=recorder, stop=Stop(at))
    assert recorder.saved[-1] == (at, at)
    assert [step for step, _ in recorder.lines] == [2, 2, 4][: at - 1]


def test_a_stopped_evaluation_is_made_up_for_first(tmp_path):
    recorder = Recorder()
    with pytest.raises(StoppedError, match="after step 4 is saved"):
        run(tmp_path, [5.0, StoppedError(signal.SIGTERM)], recorder=recorder)
    assert recorder.saved == [(2, 2.0), (3, 3.0), (4, 4.0)]
    halfway = Progress(step=4, next_index=4, best=5.0, best_step=2, evaluated_step=2)
    (_, progress), recorder = run(tmp_path, [4.0, 3.0, 2.0, 1.0], progress=halfway)
    assert recorder.lines[0] == (4, ["validation/loss"])
    assert [step for step, _ in recorder.saved] == [4, 6, 8, 9, 10]
    assert progress.best == 1.0


def test_a_stop_while_making_up_saves_nothing_twice(tmp_path):
    recorder = Recorder()
    recorder.saved.append((4, 4.0))
    halfway = Progress(step=4, next_index=4, best=5.0, best_step=2, evaluated_step=2)
    with pytest.raises(StoppedError, match="after step 4 is saved"):
        run(tmp_path, [StoppedError(signal.SIGTERM)], progress=halfway, recorder=recorder)
    assert recorder.saved == [(4, 4.0)]
