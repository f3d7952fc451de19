"""When a run evaluates, when it ends, and what an evaluation changes: pure functions of its progress."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from geosurge_jax.training.checkpoint import Progress


@dataclass(frozen=True)
class LoopConfig:
    """Lengths and intervals, all in steps.

    Attributes:
        total_steps: where training ends.
        log_every: interval of the lines of training metrics.
        evaluate_every: interval of evaluations; the last step is always evaluated.
        checkpoint_every: interval of checkpoints; evaluations and the end always save one.
        watched: the evaluation metric that decides what is best.
        minimize: whether less of it is better.
        patience: stop after so many evaluations without improvement; 0 never stops.
    """

    total_steps: int
    log_every: int
    evaluate_every: int
    checkpoint_every: int
    watched: str
    minimize: bool
    patience: int


def watch(progress: Progress, metrics: Mapping[str, float], config: LoopConfig) -> Progress:
    """Takes an evaluation into account.

    Raises:
        ValueError: the watched metric is not among the evaluated ones.
    """
    if config.watched not in metrics:
        raise ValueError(
            f"config.training.watched={config.watched!r}: expected one of {sorted(metrics)}"
        )
    value = metrics[config.watched]
    sign = 1.0 if config.minimize else -1.0
    progress = replace(progress, evaluated_step=progress.step)
    if progress.best is None or sign * value < sign * progress.best:
        return replace(progress, best=value, best_step=progress.step, evaluations_since_best=0)
    return replace(progress, evaluations_since_best=progress.evaluations_since_best + 1)


def evaluation_due(progress: Progress, config: LoopConfig) -> bool:
    """Whether the state at `progress.step` is one to evaluate and has not been yet."""
    step = progress.step
    chosen = step == config.total_steps or (step > 0 and step % config.evaluate_every == 0)
    return chosen and progress.evaluated_step != step


def finished(progress: Progress, config: LoopConfig) -> bool:
    """Whether the run is over, by length or by patience."""
    out_of_patience = 0 < config.patience <= progress.evaluations_since_best
    return progress.step >= config.total_steps or out_of_patience
