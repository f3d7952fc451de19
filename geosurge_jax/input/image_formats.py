"""The image formats that every command accepts, by the suffix of a file's name."""

import importlib.util

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".mpo"),
    *(".png", ".apng", ".webp", ".tif", ".tiff", ".gif", ".bmp", ".dib"),
    *(".avif", ".avifs", ".jp2", ".j2k", ".jpf", ".jpx", ".j2c", ".jpc"),
    *(".heic", ".heif", ".heics", ".heifs", ".hif"),
)
"""In lower case. Files of these names that cannot be decoded are rejected, never passed over."""

HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1")

HEIF_INSTALLED = importlib.util.find_spec("pillow_heif") is not None
"""Whether HEIC images can be decoded: by the extra `geosurge-jax[heif]`."""

if HEIF_INSTALLED:
    from pillow_heif import register_heif_opener  # pyright: ignore[reportMissingImports]

    register_heif_opener()


def is_image_name(name: str) -> bool:
    """Returns whether a file's name ends like that of an image."""
    return name.lower().endswith(SUFFIXES)


def is_heif(content: bytes) -> bool:
    """Returns whether a file's first bytes are those of HEIC or HEIF."""
    return content[4:8] == b"ftyp" and content[8:12] in HEIF_BRANDS


def without_suffix(name: str) -> str:
    """Returns a file's name without the suffix of an image; other suffixes stay."""
    stem, dot, suffix = name.rpartition(".")
    return stem if stem and f"{dot}{suffix}".lower() in SUFFIXES else name
