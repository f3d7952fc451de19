import multiprocessing
import multiprocessing.popen_spawn_posix
import os
import signal
import threading
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from geosurge_jax.importing.runners import on_this_machine
from geosurge_jax.worker_processes import WorkerProcesses


def leave_process_id(path: Path) -> None:
    path.write_text(str(os.getpid()))


def die(path: Path) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(path: Path) -> None:
    raise ValueError(f"{path.name}: refused")


def blocked_signals() -> set[int]:
    return set(signal.pthread_sigmask(signal.SIG_BLOCK, set()))


def process_ids(folder):
    return {int(path.read_text()) for path in folder.iterdir()}


@pytest.fixture
def runner():
    with on_this_machine(2) as two:
        yield two


def test_processes_stay_for_the_next_pieces_and_are_replaced_when_one_dies(runner, tmp_path):
    found = []
    for name in ("reading", "writing"):
        (tmp_path / name).mkdir()
        runner(leave_process_id, [tmp_path / name / str(n) for n in range(9)], name)
        found.append(process_ids(tmp_path / name))
    assert os.getpid() not in found[0] | found[1]
    assert len(found[0] | found[1]) <= 2
    with pytest.raises(ValueError, match="x: refused"):
        runner(refuse, [tmp_path / "x"], "failing")
    with pytest.raises(ValueError, match="a worker process was killed"):
        runner(die, [tmp_path / "x"], "failing")
    (tmp_path / "again").mkdir()
    runner(leave_process_id, [tmp_path / "again" / "0"], "again")
    assert not process_ids(tmp_path / "again") & (found[0] | found[1])


def test_one_worker_is_this_process(tmp_path):
    on_this_machine(1)(leave_process_id, [tmp_path / "0"], "reading")
    assert process_ids(tmp_path) == {os.getpid()}


def test_processes_are_gone_when_the_work_is_done(tmp_path):
    """Left to the interpreter's exit, their pool prints a traceback now and then."""
    with on_this_machine(2) as runner:
        runner(leave_process_id, [tmp_path / str(n) for n in range(4)], "reading")
        assert multiprocessing.active_children()
    assert not multiprocessing.active_children()
    assert not [one for one in threading.enumerate() if "ExecutorManager" in type(one).__name__]


def test_workers_leave_ctrl_c_to_their_parent():
    """A terminal sends it to all processes; each worker would print a traceback."""
    before = blocked_signals()
    with WorkerProcesses(1) as pool:
        assert signal.SIGINT in pool.submit(blocked_signals).result()
    assert blocked_signals() == before


def begin_long_work(path: Path) -> None:
    path.touch()
    time.sleep(300)


@pytest.mark.parametrize("leave", [KeyboardInterrupt, GeneratorExit])
def test_work_that_nobody_waits_for_is_ended(leave, tmp_path):
    with pytest.raises(leave), WorkerProcesses(1) as pool:
        waiting = pool.submit(begin_long_work, tmp_path / "begun")
        while not (tmp_path / "begun").exists():
            time.sleep(0.01)
        raise leave
    with pytest.raises(BrokenProcessPool):  # and not its result, which it gives after five minutes
        waiting.result()


def sleep_briefly() -> None:
    time.sleep(20)


def interrupt() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.raise_signal(signal.SIGINT)


def test_ctrl_c_while_a_process_starts_leaves_none_behind(monkeypatch):
    """It arrives in the middle of `submit`, by way of another thread."""
    started = []
    popen = multiprocessing.popen_spawn_posix.Popen

    class Interrupted(popen):
        def _launch(self, process_obj):
            super()._launch(process_obj)
            started.append(self.pid)
            thread = threading.Thread(target=interrupt)
            thread.start()
            thread.join()

    monkeypatch.setattr(multiprocessing.popen_spawn_posix, "Popen", Interrupted)
    with pytest.raises(KeyboardInterrupt), WorkerProcesses(1) as pool:
        pool.submit(sleep_briefly)
    assert len(started) == 1
    deadline = time.monotonic() + 60
    while any(child.pid == started[0] for child in multiprocessing.active_children()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with pytest.raises(ProcessLookupError):
        os.kill(started[0], 0)
