"""Checks that the configs of all systems share."""

from collections.abc import Collection

COMPUTE_DTYPES = ("float32", "bfloat16")


def check_choices(*choices: tuple[str, object, Collection[object]]) -> None:
    """Refuses a value that is none of those allowed.

    Args:
        *choices: (field of the system's config, its value, what is allowed).

    Raises:
        ValueError: names the first config key that is wrong, its value and what was expected.
    """
    for key, value, allowed in choices:
        if value not in allowed:
            raise ValueError(f"config.system.{key}={value!r}: expected one of {tuple(allowed)}")
