"""Choices of an evaluation."""

from dataclasses import dataclass

from geosurge_jax.evaluation.calibration import EqualAreaGrid
from geosurge_jax.evaluation.decode import parse_decision

CHECKPOINTS = ("best", "latest")


@dataclass(frozen=True)
class EvaluationConfig:
    """What is scored and how.

    Attributes:
        datasets: what to score after training and in `--mode=eval`: a split of the run's own data set
            ("test"), or "DIRECTORY:SPLIT" of another one.
        checkpoint: "best" by the watched metric, "latest", or a step number as text.
        batch_size: photos of a global batch.
        crops: 1, 5 or 10 for each photo, whose probabilities are averaged.
        protocol: a name in `geosurge_jax.geo.DISTANCE_PROTOCOLS`.
        comparison: "<=" or "<" of distance and radius.
        bootstrap_samples: resamplings behind the 95 % intervals.
        top_k: places given for each photo by `--mode=predict`.
        decisions: how an answer is chosen from a posterior, see `evaluation.decode`. The first is the one
            that predictions, validation, maps and tables use; the report compares all of them.
        decision_points: likeliest support points among which, and over which, a decision weighs (ours).
        calibration_grid: rows and columns of the grid of equal areas (ours).
        calibration_floor: share of the uniform distribution in the log-likelihood (ours).
        maps: folder of class maps for `--mode=predict`, `NAME.png` for the photo `NAME.jpg`; empty for none.
    """

    datasets: tuple[str, ...]
    checkpoint: str
    batch_size: int
    crops: int
    protocol: str
    comparison: str
    bootstrap_samples: int
    top_k: int
    decisions: tuple[str, ...]
    decision_points: int
    calibration_grid: tuple[int, int]
    calibration_floor: float
    maps: str

    def __post_init__(self) -> None:
        """Raises ValueError where a value is out of range, naming the config key."""
        if self.crops not in (1, 5, 10):
            raise ValueError(f"config.evaluation.crops={self.crops}: expected 1, 5 or 10")
        if self.checkpoint not in CHECKPOINTS and not self.checkpoint.isdigit():
            raise ValueError(
                f"config.evaluation.checkpoint={self.checkpoint!r}: expected one of {CHECKPOINTS} or a "
                f"step number"
            )
        if not self.decisions or len(set(self.decisions)) < len(self.decisions):
            raise ValueError(
                f"config.evaluation.decisions={self.decisions!r}: expected at least one, each once"
            )
        for name in self.decisions:
            try:
                parse_decision(name)
            except ValueError as error:
                raise ValueError(
                    f"config.evaluation.decisions={self.decisions!r}: {error}"
                ) from None
        if self.decision_points < 1:
            raise ValueError(
                f"config.evaluation.decision_points={self.decision_points}: expected at least 1"
            )
        if min(self.calibration_grid) < 1:
            raise ValueError(
                f"config.evaluation.calibration_grid={self.calibration_grid}: expected at least 1 row and "
                f"1 column"
            )
        if not 0 < self.calibration_floor < 1:
            raise ValueError(
                f"config.evaluation.calibration_floor={self.calibration_floor}: expected above 0 and below 1"
            )

    @property
    def grid(self) -> EqualAreaGrid:
        """The grid of equal areas."""
        return EqualAreaGrid(*self.calibration_grid)
