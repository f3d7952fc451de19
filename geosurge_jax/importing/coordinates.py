"""Coordinates as people write them, as degrees."""

import re

_MINUS = str.maketrans(dict.fromkeys("\u2212\u2010\u2011\u2012\u2013\ufe63\uff0d", "-"))
_NUMBER = r"\d+(?:[.,]\d*)?|[.,]\d+"
_DEGREES = re.compile(
    rf"(?P<before>[NSEW])?\s*(?P<sign>[+-])?\s*(?P<degrees>{_NUMBER})\s*"
    rf"(?:(?:[°º˚]|d|deg)\s*"
    rf"(?:(?P<minutes>{_NUMBER})\s*(?:['′’ʹ‘´]|m|min)\s*"
    rf"(?:(?P<seconds>{_NUMBER})\s*(?:[\"″”ʺ“]|''|′′|’’|s|sec)?)?)?)?"
    r"\s*(?P<behind>[NSEWnsew])?"
)
_LETTERS = {"latitude": "NS", "longitude": "EW"}


def parse_degrees(text: str, role: str) -> float:
    """Return an angle in degrees, positive to the north and to the east.

    Reads decimal degrees with a point or a comma, any Unicode minus, degrees with minutes and seconds
    (`48°51'24"`, `48d51m24s`), and a hemisphere letter before or behind.

    Args:
        text: The cell of a table.
        role: `latitude` or `longitude`; decides which hemisphere letters are accepted.

    Raises:
        ValueError: The text is not an angle, minutes or seconds are 60 or more, the letter belongs to the
            other axis, or there is both a sign and a letter.
    """
    try:
        if "_" not in text:
            return float(text)
    except ValueError:
        pass
    found = _DEGREES.fullmatch(text.strip().translate(_MINUS))
    if found is None:
        raise ValueError("expected degrees")
    letters = (found["before"] or "") + (found["behind"] or "").upper()
    if len(letters) > 1 or (letters and found["sign"]):
        raise ValueError("expected either one sign or one hemisphere letter")
    if letters and letters not in _LETTERS[role]:
        raise ValueError(f"expected hemisphere letter {' or '.join(_LETTERS[role])}")
    parts = [found[name] for name in ("degrees", "minutes", "seconds") if found[name]]
    values = [float(part.replace(",", ".")) for part in parts]
    if any(not value.is_integer() for value in values[:-1]):
        raise ValueError("expected a fraction in the last part alone")
    if any(value >= 60 for value in values[1:]):
        raise ValueError("expected minutes and seconds below 60")
    size = sum(value / 60**place for place, value in enumerate(values))
    return -size if found["sign"] == "-" or letters in ("S", "W") else size
