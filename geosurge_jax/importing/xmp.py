"""Stub."""


def xmp_latlng(packet: bytes) -> tuple[float, float] | None:
    """Stub."""
    return None
