"""Towers in stages: which of them are trained, and what that means for freezing and for FLOPs."""

from collections.abc import Sequence


def check_stages(trained: int, stages: int, size: str) -> None:
    """Raises ValueError where a tower of so many stages cannot train the last `trained` of them."""
    if not -1 <= trained <= stages:
        raise ValueError(
            f"config.system.visual.trained_stages={trained}: expected -1 (all) to {stages}, the stages of "
            f"size {size!r}"
        )


def check_choice(name: str, value: str, allowed: Sequence[str]) -> None:
    """Raises ValueError where a field of the tower is not one of the values there are."""
    if value not in allowed:
        raise ValueError(f"config.system.visual.{name}={value!r}: expected one of {[*allowed]}")


def stage_rules(trained: int, stages: int, before: Sequence[str], after: str) -> tuple[str, ...]:
    """Patterns of the parameters that are not trained.

    Args:
        trained: -1 everything, 0 nothing, n the last n stages and what follows them.
        stages: number of stages, named `stage_0` on.
        before: patterns of what comes before the first stage.
        after: pattern of what follows the last.

    Returns:
        Path patterns, relative to the tower; statistics of norms are for the caller.
    """
    if trained < 0:
        return ()
    frozen = [f"stage_{index}/" for index in range(stages - trained)]
    return (*before, *frozen, *([after] if after and not trained else []))


def split_flops(trained: int, before: int, stages: Sequence[int], after: int) -> tuple[int, int]:
    """FLOPs of the (frozen, trained) parts of a tower.

    Args:
        trained: as for `stage_rules`.
        before: FLOPs of what comes before the first stage.
        stages: of each stage.
        after: of what follows the last.

    Returns:
        Two sums that add to the whole.
    """
    whole = before + sum(stages) + after
    if trained < 0:
        return 0, whole
    kept = sum(stages[len(stages) - trained :]) + after if trained else 0
    return whole - kept, kept
