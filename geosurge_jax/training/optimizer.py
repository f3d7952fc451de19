"""AdamW with clipping, and the learning-rate schedules."""

from dataclasses import dataclass

import optax

SCHEDULES = ("halving", "cosine", "constant")


@dataclass(frozen=True)
class OptimizerConfig:
    """Choices of the optimiser (GeoSURGE: AdamW, 1e-4, weight decay 1e-4, halved every epoch).

    Attributes:
        learning_rate: peak.
        schedule: "halving" (times 0.5 after every epoch), "cosine" (to 0 at the last step) or "constant".
        warmup_steps: linear rise from 0; 0 for none.
        weight_decay: decoupled, on every trained parameter.
        clip_norm: global norm to which gradients are clipped; 0 for none.
        b1: decay of the first moment.
        b2: decay of the second moment.
    """

    learning_rate: float
    schedule: str
    warmup_steps: int
    weight_decay: float
    clip_norm: float
    b1: float
    b2: float

    def __post_init__(self) -> None:
        """Raises ValueError where the schedule is unknown."""
        if self.schedule not in SCHEDULES:
            raise ValueError(
                f"config.optimizer.schedule={self.schedule!r}: expected one of {SCHEDULES}"
            )


def learning_rate(
    config: OptimizerConfig, total_steps: int, steps_per_epoch: int
) -> optax.Schedule:
    """Learning rate as a function of the step.

    Args:
        config: peak, schedule and warm-up.
        total_steps: where "cosine" ends.
        steps_per_epoch: after so many steps "halving" halves.

    Returns:
        `step -> float`.
    """
    peak = config.learning_rate
    after_warmup: optax.Schedule
    if config.schedule == "halving":
        after_warmup = optax.exponential_decay(peak, steps_per_epoch, 0.5, staircase=True)
    elif config.schedule == "cosine":
        after_warmup = optax.cosine_decay_schedule(peak, max(1, total_steps - config.warmup_steps))
    else:
        after_warmup = optax.constant_schedule(peak)
    if not config.warmup_steps:
        return after_warmup
    warmup = optax.linear_schedule(0.0, peak, config.warmup_steps)
    return optax.join_schedules([warmup, after_warmup], [config.warmup_steps])


def make_optimizer(
    config: OptimizerConfig, schedule: optax.Schedule
) -> optax.GradientTransformation:
    """Clipping, then AdamW (Loshchilov and Hutter 2019)."""
    clip = optax.clip_by_global_norm(config.clip_norm) if config.clip_norm else optax.identity()
    adamw = optax.adamw(schedule, b1=config.b1, b2=config.b2, weight_decay=config.weight_decay)
    return optax.chain(clip, adamw)
