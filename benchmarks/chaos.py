"""Kills a run again and again, and compares where it ends with an undisturbed one.

    python benchmarks/chaos.py --kills 100

Trains `configs/geosurge.py:tiny` once in peace. Then trains it again and ends its process at random
instants, by SIGKILL (a crash, a lost machine) or SIGTERM (a preemption), starting it anew each time. In the
end both must hold the same bytes in every array of the state, the same metrics with every step exactly
once, the same checkpoints for the newest and the best step, and no file that the other lacks.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
STEPS_A_KILL = 12
# Exit codes that a SIGTERM may end in: stopped with the state saved, finished before it came, or struck
# before Python could listen.
AFTER_TERMINATION = (75, 0, -signal.SIGTERM)
SECONDS_TO_START = 300


def command(workdir: Path, datasets: Path, steps: int) -> list[str]:
    """The command line of both runs."""
    return [
        sys.executable,
        "run.py",
        "--config=configs/geosurge.py:tiny",
        f"--config.data.directory={datasets}",
        f"--config.training.steps={steps}",
        "--config.training.log_every=1",
        "--config.training.checkpoint_every=7",
        "--config.training.evaluate_every=60",
        f"--workdir={workdir}",
    ]


def start(arguments: list[str], log: Path) -> subprocess.Popen:
    """Starts a run on the CPU, with quick compilation, its output kept in a file."""
    flags = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    # A hundred starts gain from compiled Python.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with log.open("a") as file:
        return subprocess.Popen(
            arguments, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=file
        )


def kept_steps(workdir: Path) -> list[int]:
    """Steps of the whole checkpoints of a workdir."""
    folder = workdir / "checkpoints"
    return (
        sorted(int(p.name) for p in folder.iterdir() if p.name.isdigit()) if folder.exists() else []
    )


def final_state(workdir: Path) -> tuple[Any, Any]:
    """State as NumPy arrays and notes of the newest checkpoint, read by Orbax alone."""
    import jax
    import numpy as np
    import orbax.checkpoint as ocp

    newest = workdir / "checkpoints" / str(kept_steps(workdir)[-1])
    reader = ocp.PyTreeCheckpointer()
    metadata: Any = reader.metadata(newest / "state").item_metadata
    as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), metadata.tree)
    state = reader.restore(newest / "state", restore_args=as_numpy)
    return state, ocp.Checkpointer(ocp.JsonCheckpointHandler()).restore(newest / "progress")


def reproducible_metrics(workdir: Path) -> list[dict[str, float]]:
    """All lines of `metrics.jsonl` without the measured rate."""
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k != "train/photos_per_second"} for row in rows]


def files(workdir: Path) -> set[str]:
    """Files of a workdir but for TensorBoard's, of which every start makes one, and checkpoints."""
    inside = (path.relative_to(workdir) for path in workdir.rglob("*") if path.is_file())
    names = {str(path) for path in inside if path.parts[0] not in ("tensorboard", "checkpoints")}
    stray = {p.name for p in (workdir / "checkpoints").iterdir() if not p.name.isdigit()}
    return names | {f"checkpoints/{name}" for name in stray}


def equal_states(one: Any, other: Any) -> bool:
    """Whether two trees hold the same bytes."""
    import jax
    import numpy as np

    left, right = jax.tree.flatten(one), jax.tree.flatten(other)
    return left[1] == right[1] and all(
        np.asarray(a).tobytes() == np.asarray(b).tobytes()
        for a, b in zip(left[0], right[0], strict=True)
    )


def logged_steps(metrics: Path) -> int:
    """Lines of metrics so far."""
    return len(metrics.read_bytes().splitlines()) if metrics.exists() else 0


def wait_for_steps(process: subprocess.Popen, metrics: Path, writer: int, steps: int) -> bool:
    """Waits until a run has opened its metrics anew and logged so many; whether it was training by then."""
    deadline, base = time.monotonic() + SECONDS_TO_START, None
    while process.poll() is None:
        if base is None and inode(metrics) != writer:
            base = logged_steps(metrics)
        if base is not None and logged_steps(metrics) >= base + steps:
            return True
        if time.monotonic() > deadline:
            raise SystemExit(f"the run did not log {steps} steps within {SECONDS_TO_START} s")
        time.sleep(0.005)
    return False


def inode(path: Path) -> int:
    """Changes when a run opens its metrics, which it begins by replacing them."""
    return path.stat().st_ino if path.exists() else 0


def strike(
    process: subprocess.Popen, workdir: Path, writer: int, dice: random.Random
) -> str | None:
    """Ends a run at a random instant; says how and when, or None where it had ended by itself."""
    number = dice.choice((signal.SIGKILL, signal.SIGTERM))
    training = dice.random() < 0.8
    if training:
        # At most four fifths of STEPS_A_KILL on average, so that the kills come before the run's end.
        training = wait_for_steps(
            process, workdir / "metrics.jsonl", writer, dice.randrange(int(1.6 * STEPS_A_KILL))
        )
        time.sleep(dice.uniform(0, 0.2))
    else:
        time.sleep(dice.uniform(0, 8))
    if process.poll() is not None:
        return None
    saving = any(not p.name.isdigit() for p in (workdir / "checkpoints").glob("*"))
    process.send_signal(number)
    code = process.wait()
    if number == signal.SIGTERM and code not in AFTER_TERMINATION:
        raise SystemExit(f"SIGTERM ended in exit code {code}")
    return f"{number.name} {'while saving' if saving else 'in training' if training else 'at the start'}"


def disturb(arguments: list[str], workdir: Path, log: Path, kills: int, seed: int) -> Counter:
    """Runs to the end with so many kills on the way; counts them by kind and moment."""
    dice, struck = random.Random(seed), Counter()
    while struck.total() < kills:
        writer = inode(workdir / "metrics.jsonl")
        process = start(arguments, log)
        what = strike(process, workdir, writer, dice)
        if what is not None:
            struck[what] += 1
            print(f"{struck.total():4d}  {what:26s} checkpoints {kept_steps(workdir)}", flush=True)
        else:
            raise SystemExit(f"the run ended by itself with {process.returncode}; see {log}")
    if start(arguments, log).wait():
        raise SystemExit(f"the run failed by itself; see {log}")
    return struck


def main() -> None:
    """Runs both, prints the table, exits with 1 where they differ."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="of the instants and signals")
    parser.add_argument(
        "--keep", type=Path, help="folder for both runs; a temporary one unless given"
    )
    options = parser.parse_args()
    os.environ["JAX_PLATFORMS"] = "cpu"
    home = options.keep or Path(tempfile.mkdtemp(prefix="chaos-"))
    home.mkdir(parents=True, exist_ok=True)
    began, steps, log = time.monotonic(), STEPS_A_KILL * options.kills, home / "log.txt"
    peaceful, struck_down = home / "undisturbed", home / "disturbed"
    if start(command(peaceful, home / "datasets", steps), log).wait():
        raise SystemExit(f"the undisturbed run failed; see {log}")
    struck = disturb(
        command(struck_down, home / "datasets", steps),
        struck_down,
        log,
        options.kills,
        options.seed,
    )
    (state, progress), (other, other_progress) = final_state(peaceful), final_state(struck_down)
    rows, other_rows = reproducible_metrics(peaceful), reproducible_metrics(struck_down)
    logged = [row["step"] for row in other_rows if "train/loss" in row]
    checks = {
        "state equal in every byte": equal_states(state, other),
        "progress equal": progress == other_progress,
        "metrics equal": rows == other_rows,
        "every step exactly once": logged == list(range(1, steps + 1)),
        "best checkpoint equal": kept_steps(peaceful)[0] == kept_steps(struck_down)[0],
        "no stray file": files(peaceful) == files(struck_down),
    }
    print("\n| kill | times |\n|---|---|")
    for what, times in sorted(struck.items()):
        print(f"| {what} | {times} |")
    print(f"\n| after {struck.total()} kills of a run of {steps} steps | |\n|---|---|")
    for name, good in checks.items():
        print(f"| {name} | {'yes' if good else 'NO'} |")
    print(f"\n{(time.monotonic() - began) / 60:.1f} minutes")
    if not options.keep and all(checks.values()):
        shutil.rmtree(home)
    sys.exit(not all(checks.values()))


if __name__ == "__main__":
    main()
