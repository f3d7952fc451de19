"""ICC colour profiles: which ones are kept when metadata is stripped.

Layout: ICC.1:2022, section 7.
"""

MAX_PROFILE = 4 << 20
"""Bytes of a kept profile at most; the largest printer profiles have about 2 MiB."""

_HEADER = 128
_SIGNATURE, _SIGNATURE_AT = b"acsp", 36


def is_color_profile(profile: bytes) -> bool:
    """Return whether bytes are an ICC profile from first to last, by signature and length."""
    return (
        _HEADER <= len(profile) <= MAX_PROFILE
        and int.from_bytes(profile[:4], "big") == len(profile)
        and profile.startswith(_SIGNATURE, _SIGNATURE_AT)
    )
