"""Damaged files, failing writes and cut-off saves, on a state of a few small arrays."""

import json
import logging
import resource
import shutil
import signal
import time
from dataclasses import replace

import chex
import jax
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from configs.geosurge import get_config
from geosurge_jax.experiment.experiment_config import parse
from geosurge_jax.training import stored
from geosurge_jax.training.checkpoint import Checkpointer, Progress
from geosurge_jax.training.mesh import MeshConfig, make_mesh
from geosurge_jax.training.state import TrainState
from geosurge_jax.training.stopping import StoppedError
from geosurge_jax.training.stored import CheckpointError, DamagedError
from geosurge_jax.training.stored_parameters import restore_evaluation_params

PREPROCESSING = parse(get_config("tiny").to_dict()).system.visual.preprocessing
LOSSES = {1: 3.0, 2: 1.0, 3: 4.0, 4: 2.0, 5: 2.5}


def parts(abstract):
    """Trained and frozen parameters of an abstract training state."""
    return abstract.trained, abstract.frozen


def state_of(step):
    """Something else at every step, on one device."""
    rng, mesh = np.random.default_rng(step), make_mesh(MeshConfig(1, 1, 1), jax.devices()[:1])
    normal = {
        "a": {"w": rng.standard_normal((256, 128), np.float32)},
        "b": rng.random(7, np.float32),
    }
    state = TrainState(
        step=np.int32(step),
        trained=normal,
        frozen={"f": rng.standard_normal((16, 8), np.float32)},
        opt_state=(jax.tree.map(lambda x: x * x, normal), None),
        average=jax.tree.map(lambda x: x / 2, normal),
        memory={"queue": rng.random((4, 2), np.float32)},
    )
    return jax.device_put(state, NamedSharding(mesh, PartitionSpec()))


def abstract():
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state_of(0)
    )


def open_checkpoints(directory):
    return Checkpointer(
        directory, preprocessing=PREPROCESSING, keep=2, watched="loss", minimize=True
    )


def progress_of(step):
    best = min((loss, s) for s, loss in LOSSES.items() if s <= step)
    return Progress(step=step, next_index=step, best=best[0], best_step=best[1])


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """Checkpoints of steps 2 (the best), 4 and 5."""
    directory = tmp_path_factory.mktemp("run") / "checkpoints"
    with open_checkpoints(directory) as keeper:
        for step, loss in LOSSES.items():
            keeper.save(state_of(step), progress_of(step), {"loss": loss})
    return directory


@pytest.fixture
def directory(pristine, tmp_path):
    return shutil.copytree(pristine, tmp_path / "checkpoints")


def kept(directory):
    return sorted(path.name for path in directory.iterdir())


def data_file(checkpoint):
    """The largest file of array data."""
    return max(checkpoint.glob("state/ocdbt.process_0/d/*"), key=lambda path: path.stat().st_size)


FILES = {
    "data": data_file,
    "index": lambda checkpoint: next(checkpoint.glob("state/d/*")),
    "manifest": lambda checkpoint: checkpoint / "state/manifest.ocdbt",
    "tree": lambda checkpoint: checkpoint / "state/_METADATA",
    "progress": lambda checkpoint: checkpoint / "progress/metadata",
}


def damage(path, kind):
    content = bytearray(path.read_bytes())
    if kind == "deleted":
        path.unlink()
    elif kind == "truncated":
        path.write_bytes(content[: len(content) // 2])
    else:
        content[int(len(content) * float(kind))] ^= 0x10
        path.write_bytes(content)


@pytest.mark.parametrize("kind", ["deleted", "truncated"])
@pytest.mark.parametrize("file", FILES)
def test_the_previous_checkpoint_is_used_and_the_damaged_one_set_aside(
    directory, caplog, file, kind
):
    damage(FILES[file](directory / "5"), kind)
    with open_checkpoints(directory) as keeper, caplog.at_level(logging.WARNING, "geosurge_jax"):
        state, progress = keeper.restore(abstract())
        assert keeper.latest_step() == 4
    chex.assert_trees_all_equal(jax.device_get(state), jax.device_get(state_of(4)))
    assert progress == progress_of(4)
    assert kept(directory) == ["2", "4"] and kept(directory.parent / "damaged") == ["5"]
    (record,) = [r for r in caplog.records if r.name.startswith("geosurge_jax")]
    message = record.getMessage()
    assert "\n" not in message and "step 4 is used" in message
    assert f"{directory / '5'} is damaged" in message and "damaged/5" in message


@pytest.mark.parametrize("file", ["data", "tree", "progress"])
def test_a_flipped_bit_is_noticed_or_changes_nothing(directory, file):
    path, noticed = FILES[file](directory / "5"), 0
    content = path.read_bytes()
    for place in np.linspace(0, 0.99, 8):
        damage(path, str(place))
        try:
            state, notes = stored.read(directory / "5", abstract(), PREPROCESSING)
        except DamagedError:
            noticed += 1
        else:
            chex.assert_trees_all_equal(jax.device_get(state), jax.device_get(state_of(5)))
            assert notes.progress["step"] == 5
        path.write_bytes(content)
    assert noticed >= 4


def test_bits_that_orbax_does_not_check_are_checked(directory):
    for place in np.linspace(0.1, 0.9, 9):
        damage(data_file(directory / "5"), str(place))
    with pytest.raises(
        DamagedError, match=r"state: \S+ holds other bits than were saved \(\d of 9 arrays\)"
    ):
        stored.read(directory / "5", abstract(), PREPROCESSING)


def test_progress_is_checked_beyond_being_json(directory):
    path = directory / "5/progress/metadata"
    content = json.loads(path.read_text())
    content["progress"]["next_index"] = 6
    path.write_text(json.dumps(content))
    with pytest.raises(DamagedError, match="checksum of the JSON differs"):
        stored.read(directory / "5", abstract(), PREPROCESSING)


def test_nothing_is_moved_when_no_sound_checkpoint_is_left(directory):
    for step in (2, 4, 5):
        damage(FILES["progress"](directory / str(step)), "truncated")
    for _ in range(2):  # a scheduler that starts it again gets the same answer, never a fresh run
        with (
            open_checkpoints(directory) as keeper,
            pytest.raises(CheckpointError, match="no sound checkpoint is left.*step 5: .*step 2: "),
        ):
            keeper.restore(abstract())
    assert kept(directory) == ["2", "4", "5"] and not (directory.parent / "damaged").exists()


def test_a_step_damaged_again_gets_a_place_of_its_own(directory):
    for _ in range(2):
        damage(FILES["manifest"](directory / "5"), "deleted")
        with open_checkpoints(directory) as keeper:
            keeper.restore(abstract())
            keeper.save(state_of(5), progress_of(5), {"loss": LOSSES[5]})
    assert kept(directory.parent / "damaged") == ["5", "5-2"]
    assert kept(directory) == ["2", "4", "5"]


def test_a_checkpoint_of_another_model_is_named_and_stays(directory):
    other = abstract()
    shape = jax.ShapeDtypeStruct((256, 129), np.float32, sharding=other.step.sharding)
    other = other.replace(trained={**other.trained, "a": {"w": shape}})
    with (
        open_checkpoints(directory) as keeper,
        pytest.raises(
            ValueError, match=r"5: trained/a/w is float32\[256,128\], expected float32\[256"
        ),
    ):
        keeper.restore(other)
    with (
        open_checkpoints(directory) as keeper,
        pytest.raises(ValueError, match=r"5: average/a/w is not expected: a checkpoint of another"),
    ):
        keeper.restore(abstract().replace(average=None))
    assert kept(directory) == ["2", "4", "5"]


@pytest.mark.parametrize(
    ("damaged", "which", "used"),
    [((2,), "best", 4), ((2, 4), "best", 5), ((5,), "latest", 4), ((4,), "2", 2)],
)
def test_evaluation_takes_the_next_best_and_moves_nothing(directory, caplog, damaged, which, used):
    for step in damaged:
        damage(FILES["manifest"](directory / str(step)), "truncated")
    params, step = restore_evaluation_params(
        directory, *parts(abstract()), PREPROCESSING, averaged=True, which=which, minimize=True
    )
    assert step == used
    chex.assert_trees_all_equal(
        jax.device_get(params), jax.device_get(state_of(used).evaluation_params())
    )
    assert kept(directory) == ["2", "4", "5"]
    warned = [r.getMessage() for r in caplog.records if r.name.startswith("geosurge_jax")]
    assert len(warned) == (which != "2") and all(f"step {damaged[0]}: state: " in w for w in warned)


def test_a_damaged_step_asked_for_by_number_is_an_error(directory):
    damage(FILES["manifest"](directory / "4"), "truncated")
    with pytest.raises(CheckpointError, match=r"checkpoint='4': damaged: step 4: state: "):
        restore_evaluation_params(
            directory, *parts(abstract()), PREPROCESSING, averaged=True, which="4", minimize=True
        )


@pytest.mark.parametrize("loss", [0.5, 9.0])
def test_saving_a_step_again_replaces_it(directory, loss):
    with open_checkpoints(directory) as keeper:
        keeper.save(state_of(6), progress_of(5), {})  # replaces 5, not evaluated
        assert kept(directory) == ["2", "4", "5"]
        keeper.save(state_of(7), replace(progress_of(5), best=loss), {"loss": loss})
        assert kept(directory) == (["4", "5"] if loss < 1 else ["2", "4", "5"])
        state, progress = keeper.restore(abstract())
        keeper.save(state_of(8), replace(progress, step=6), {})
        keeper.save(state_of(9), replace(progress, step=7), {})
    chex.assert_trees_all_equal(jax.device_get(state), jax.device_get(state_of(7)))
    assert progress.best == loss and progress.step == 5
    assert kept(directory) == (["5", "6", "7"] if loss < 1 else ["2", "6", "7"])


@pytest.mark.parametrize("whole", [False, True])
def test_a_replacement_cut_off_leaves_one_of_the_two(directory, whole):
    old = directory / "5.replaced"
    if whole:
        shutil.copytree(directory / "4", old)
    else:
        (directory / "5").rename(old)
        (directory / "5.orbax-checkpoint-tmp").mkdir()
    with open_checkpoints(directory) as keeper:
        assert kept(directory) == ["2", "4", "5"]
        state, _ = keeper.restore(abstract())
    chex.assert_trees_all_equal(jax.device_get(state), jax.device_get(state_of(5)))


@pytest.fixture
def small_files():
    """No file of this process can grow beyond 64 kB: a full disk, without one."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


FAILED = (
    r"checkpoint of step 6 could not be saved \(.*File too large\); the last whole .* step 5; start"
)


def test_a_failed_save_is_told_at_the_next_check(directory, small_files):
    keeper = open_checkpoints(directory)
    keeper.save(state_of(6), Progress(step=6), {})
    with pytest.raises(CheckpointError, match=FAILED):
        for _ in range(200):
            keeper.check()
            time.sleep(0.05)
    keeper.close()
    with open_checkpoints(directory) as again:
        assert kept(directory) == ["2", "4", "5"]
        chex.assert_trees_all_equal(
            jax.device_get(again.restore(abstract())[0]), jax.device_get(state_of(5))
        )


@pytest.mark.parametrize("again", ["save", "wait", "close"])
def test_a_failed_save_is_told_by_whatever_waits_for_it(directory, small_files, again):
    keeper = open_checkpoints(directory)
    keeper.save(state_of(6), Progress(step=6), {})
    calls = {"save": lambda: keeper.save(state_of(7), Progress(step=7), {})}
    with pytest.raises(CheckpointError, match=FAILED):
        calls.get(again, getattr(keeper, again))()
    if again != "close":
        keeper.close()


def test_a_failed_replacement_keeps_the_old_one(directory, small_files):
    keeper = open_checkpoints(directory)
    with pytest.raises(CheckpointError, match="checkpoint of step 5 could not be saved"):
        keeper.save(state_of(6), progress_of(5), {})
    keeper.close()
    with open_checkpoints(directory) as again:
        state, _ = again.restore(abstract())
    assert kept(directory) == ["2", "4", "5"]
    chex.assert_trees_all_equal(jax.device_get(state), jax.device_get(state_of(5)))


def test_a_failed_save_does_not_hide_what_ended_the_run(directory, small_files, caplog):
    with pytest.raises(ZeroDivisionError), open_checkpoints(directory) as keeper:
        keeper.save(state_of(6), Progress(step=6), {})
        raise ZeroDivisionError
    assert any("step 6 could not be saved" in record.getMessage() for record in caplog.records)


def test_a_stopped_run_whose_save_failed_does_not_say_it_is_saved(directory, small_files):
    with pytest.raises(CheckpointError, match=FAILED), open_checkpoints(directory) as keeper:
        keeper.save(state_of(6), Progress(step=6), {})
        raise StoppedError(signal.SIGTERM, 6)


def test_the_cause_is_the_end_of_a_long_chain_without_annotations():
    inner = ValueError(
        f'OUT_OF_RANGE: Error opening "zarr" driver: {"Error writing x: " * 20}Failed to write: File too '
        """large [os_error_code='27'] [tensorstore_spec='{"chunks":[64,48],"path":"a: b"}'] [source """
        "locations='a.cc:42']\nsecond line"
    )
    outer = RuntimeError("outer")
    outer.__cause__ = inner
    found = stored.cause(outer)
    assert found.startswith("ValueError: ") and found.endswith("Failed to write: File too large")
    assert len(found) < 200
    assert stored.cause(OSError(28, "No space left on device")) == (
        "OSError: [Errno 28] No space left on device"
    )


@pytest.mark.parametrize("lost", [None, "state/manifest.ocdbt", "progress/metadata"])
def test_the_first_checkpoint_of_a_run_is_read_back(tmp_path, monkeypatch, lost):
    wait = Checkpointer.wait

    def wait_and_lose(self):
        wait(self)
        if lost is not None:
            (tmp_path / "run" / "1" / lost).unlink(missing_ok=True)

    # Orbax takes brackets for a pattern, and what it saves below them cannot be read.
    directory = tmp_path / ("run" if lost else "run[1]")
    monkeypatch.setattr(Checkpointer, "wait", wait_and_lose)
    with open_checkpoints(directory) as keeper:
        with pytest.raises(CheckpointError, match="1: was saved but cannot be read back") as caught:
            keeper.save(state_of(1), progress_of(1), {"loss": 3.0})
        assert "\n" not in str(caught.value)


def test_only_the_first_checkpoint_is_waited_for(directory, monkeypatch):
    monkeypatch.setattr("geosurge_jax.training.checkpoint.read_back", None)
    with open_checkpoints(directory) as keeper:
        keeper.save(state_of(6), replace(progress_of(5), step=6), {"loss": 3.0})
    assert "6" in kept(directory)
