"""Choices of an evaluation."""

from dataclasses import dataclass

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
