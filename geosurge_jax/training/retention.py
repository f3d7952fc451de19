"""Which checkpoints of a run stay."""

from collections.abc import Sequence
from typing import Any

from orbax.checkpoint.checkpoint_managers import preservation_policy

from geosurge_jax.training import stored


class NewestAndBest:
    """Orbax' rule of what stays: the newest `keep` checkpoints and the best of those there are.

    Orbax' own rule for the best reads a file that no checksum protects; this one is told the values.
    """

    def __init__(self, keep: int, minimize: bool, watched: dict[int, float | None]) -> None:
        """`watched` maps steps to values of the watched metric; the owner goes on adding to it."""
        self._keep, self._minimize, self._watched = keep, minimize, watched

    def should_preserve(
        self,
        checkpoints: Sequence[Any],
        *,
        context: preservation_policy.PreservationContext,
    ) -> Sequence[bool]:
        """One answer for each checkpoint, oldest first."""
        del context
        steps = [checkpoint.step for checkpoint in checkpoints]
        values = {step: self._watched.get(step) for step in steps}
        kept = set(steps[-self._keep :])
        best = stored.rank(values, self._minimize)[0]
        if values[best] is not None:
            kept.add(best)
        return [step in kept for step in steps]
