"""From the answers to each photo to the numbers of a data set, those of the floors beside it included."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from geosurge_jax.evaluation.calibration import (
    CalibrationSummary,
    PhotoCalibration,
    summarize_calibration,
)
from geosurge_jax.evaluation.chance import training_density_chance
from geosurge_jax.evaluation.decode import parse_decision
from geosurge_jax.evaluation.errors import PhotoErrors
from geosurge_jax.evaluation.evaluator import ScoredPhotos
from geosurge_jax.evaluation.floors import (
    RANDOM,
    TRAINING_DENSITY,
    TrainingDensity,
    random_photos,
    training_density,
)
from geosurge_jax.evaluation.metrics import Summary, summarize
from geosurge_jax.evaluation.results import Results, Scored
from geosurge_jax.evaluation.settings import EvaluationConfig
from geosurge_jax.geo import Hierarchy


@dataclass(frozen=True)
class Scoring:
    """How the photos of any data set are turned into numbers.

    Attributes:
        config: what is measured and how.
        seed: of the intervals and of the random floor.
        hierarchy: its finest geocells with their counts are the training density.
        train_latlng: degrees `[M, 2]` of the training photos.
    """

    config: EvaluationConfig
    seed: int
    hierarchy: Hierarchy
    train_latlng: np.ndarray

    def results(self, photos: ScoredPhotos) -> Results:
        """The numbers of a system's answers, and of the floors on the same photos."""
        answers = {name: self._summary(errors) for name, errors in photos.errors.items()}
        truth = next(iter(photos.errors.values())).in_order().truth
        chance = training_density_chance(
            self.train_latlng, truth, self.config.protocol, comparison=self.config.comparison
        )
        return Results(
            Scored(answers, self._calibration(photos.calibration)), self._floors(truth), chance
        )

    def _floors(self, truth: np.ndarray) -> dict[str, Scored]:
        random = self._summary(random_photos(truth, self.seed))
        density = self._training_density
        answers = {
            name: self._summary(density.photos(truth, place))
            for place, name in enumerate(self.config.decisions)
        }
        calibration = density.calibration(truth, self.config.grid, self.config.calibration_floor)
        # Uniform over the sphere no decision differs from another, and the log-likelihood is 0 by definition.
        return {
            RANDOM: Scored({self.config.decisions[0]: random}, None),
            TRAINING_DENSITY: Scored(answers, self._calibration(calibration)),
        }

    @cached_property
    def _training_density(self) -> TrainingDensity:
        decisions = [parse_decision(name) for name in self.config.decisions]
        finest = self.hierarchy.partitions[-1]
        return training_density(finest, decisions, self.config.decision_points)

    def _summary(self, errors: PhotoErrors) -> Summary:
        return summarize(
            errors,
            protocol=self.config.protocol,
            comparison=self.config.comparison,
            bootstrap_samples=self.config.bootstrap_samples,
            seed=self.seed,
        )

    def _calibration(self, photos: PhotoCalibration) -> CalibrationSummary:
        return summarize_calibration(
            photos,
            self.config.grid,
            self.config.calibration_floor,
            self.config.bootstrap_samples,
            self.seed,
        )
