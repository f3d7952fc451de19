"""Positions as photos state them: degrees, minutes and seconds with a letter, checked for plausibility."""

from collections.abc import Sequence

_UNITS = ("degrees", "minutes", "seconds")


def checked_degrees(parts: Sequence[float | None], letter: str, letters: str, where: str) -> float:
    """Return signed degrees from degrees, minutes and seconds.

    Trailing parts that are zero or None count as not given. Only the last given part may have a
    fraction; undefined parts are accepted only where that part has one.

    Args:
        parts: Degrees, minutes, seconds; at least degrees. None = undefined (0/0 in EXIF).
        letter: Hemisphere.
        letters: The positive and the negative letter, "NS" or "EW".
        where: Name of the place in the file, for errors.

    Raises:
        ValueError: The position is not plausible; one line.
    """
    if letter not in tuple(letters):
        raise ValueError(
            f"GPS reference {letter!r} in {where}, expected {letters[0]} or {letters[1]}"
        )
    given = list(parts)
    while len(given) > 1 and not given[-1]:
        given.pop()
    values = [value for value in given if value is not None]
    if len(values) < len(given) or (None in parts and values[-1].is_integer()):
        raise ValueError(f"GPS position {_shown(parts)} in {where}, expected rationals")
    if any(value < 0 for value in values):
        raise ValueError(f"GPS position {_shown(parts)} {letter} in {where}, expected no sign")
    for value, unit in zip(values[1:], _UNITS[1:], strict=False):
        if value >= 60:
            raise ValueError(f"GPS position {_shown(parts)} in {where}, expected {unit} below 60")
    if any(not value.is_integer() for value in values[:-1]):
        raise ValueError(
            f"GPS position {_shown(parts)} in {where}, expected a fraction in the last part only"
        )
    total = sum(value / 60**power for power, value in enumerate(values))
    return total if letter == letters[0] else -total


def checked_position(latitude: float, longitude: float, where: str) -> tuple[float, float]:
    """Return a position.

    Raises:
        ValueError: It is exactly (0, 0), which cameras write where they know none.
    """
    if latitude == 0 and longitude == 0:
        raise ValueError(f"GPS position (0, 0) in {where} is a placeholder")
    return latitude, longitude


def _shown(parts: Sequence[float | None]) -> str:
    return " ".join("0/0" if value is None else f"{value:.12g}" for value in parts)
