"""What an evaluation collects, in forms that merge: errors of photos, hits by level."""

from dataclasses import dataclass

import numpy as np

from geosurge_jax.geo import DistanceProtocol, Hierarchy, check_latlng


@dataclass(frozen=True, eq=False)
class PhotoErrors:
    """Truth and prediction of each photo that was scored, in any order.

    Attributes:
        index: position of the photo in its split, int64 `[M]`.
        truth: degrees, float64 `[M, 2]`.
        prediction: degrees, float64 `[M, 2]`.

    Raises:
        ValueError: the arrays do not fit together, a photo occurs twice, or a coordinate is not
            finite or out of range.
    """

    index: np.ndarray
    truth: np.ndarray
    prediction: np.ndarray

    def __post_init__(self) -> None:
        count = len(self.index)
        if self.truth.shape != (count, 2) or self.prediction.shape != (count, 2):
            raise ValueError(
                f"{count} photos have truth {self.truth.shape} and prediction "
                f"{self.prediction.shape}, expected ({count}, 2) of both"
            )
        values, times = np.unique(self.index, return_counts=True)
        if np.any(times > 1):
            # Dropping the copy would hide a pipeline that shows photos twice, and with it wrong
            # weights elsewhere.
            raise ValueError(f"photo {values[np.argmax(times > 1)]} is counted twice")
        for name, latlng in (("truth", self.truth), ("prediction", self.prediction)):
            try:
                check_latlng(latlng)
            except ValueError as error:
                raise ValueError(f"{name} of photos: {error}") from None

    def __len__(self) -> int:
        return len(self.index)

    @classmethod
    def empty(cls) -> "PhotoErrors":
        """No photo: where merging starts."""
        return cls(np.zeros(0, np.int64), np.zeros((0, 2)), np.zeros((0, 2)))

    @classmethod
    def from_batch(
        cls, index: np.ndarray, mask: np.ndarray, truth: np.ndarray, prediction: np.ndarray
    ) -> "PhotoErrors":
        """The photos of a batch; rows with mask 0 (padding, corrupt records) do not count.

        Args:
            index: `[B]`.
            mask: `[B]`, 0 or 1.
            truth: degrees `[B, 2]`.
            prediction: degrees `[B, 2]`.
        """
        kept = np.asarray(mask) > 0
        return cls(
            np.asarray(index)[kept].astype(np.int64),
            np.asarray(truth)[kept].astype(np.float64),
            np.asarray(prediction)[kept].astype(np.float64),
        )

    def merge(self, other: "PhotoErrors") -> "PhotoErrors":
        """The photos of both.

        Raises:
            ValueError: a photo is in both.
        """
        return PhotoErrors(
            np.concatenate([self.index, other.index]),
            np.concatenate([self.truth, other.truth]),
            np.concatenate([self.prediction, other.prediction]),
        )

    def in_order(self) -> "PhotoErrors":
        """The photos by index, so that what follows does not depend on how batches arrived."""
        order = np.argsort(self.index)
        return PhotoErrors(self.index[order], self.truth[order], self.prediction[order])

    def distance_km(self, protocol: DistanceProtocol) -> np.ndarray:
        """From prediction to truth, float64 `[M]`."""
        return protocol.distance_km(self.prediction, self.truth)


@dataclass(frozen=True)
class LevelAccuracy:
    """Hits by level of a hierarchy as sums and weights, coarse to fine.

    Attributes:
        correct: photos whose predicted cell is the true one, per level.
        weight: photos that have a cell at the level; one whose cell was dropped does not count
            there.
    """

    correct: tuple[float, ...]
    weight: tuple[float, ...]

    def merge(self, other: "LevelAccuracy") -> "LevelAccuracy":
        """Both together.

        Raises:
            ValueError: they have other numbers of levels.
        """
        pairs = zip(self.correct, other.correct, strict=True)
        weights = zip(self.weight, other.weight, strict=True)
        return LevelAccuracy(
            tuple(one + two for one, two in pairs), tuple(one + two for one, two in weights)
        )

    @property
    def shares(self) -> tuple[float, ...]:
        """Accuracy of each level in 0..1, NaN where no photo has a cell."""
        return tuple(
            correct / weight if weight else float("nan")
            for correct, weight in zip(self.correct, self.weight, strict=True)
        )


def level_accuracy(errors: PhotoErrors, hierarchy: Hierarchy) -> LevelAccuracy:
    """How often the predicted location lies in the same cell as the truth, for each level."""
    true, predicted = hierarchy.assign(errors.truth), hierarchy.assign(errors.prediction)
    counted = true >= 0
    correct = counted & (true == predicted)
    return LevelAccuracy(
        tuple(correct.sum(axis=0).astype(float).tolist()),
        tuple(counted.sum(axis=0).astype(float).tolist()),
    )
