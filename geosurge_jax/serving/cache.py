"""The user's cache directory: compiled programs and gallery vectors, kept between processes."""

import os
from pathlib import Path

import jax
from platformdirs import user_cache_path

# Programs that compile faster than this are not worth a file.
_LEAST_COMPILE_SECONDS = 0.1


def cache_folder(chosen: Path | None = None) -> Path:
    """Returns the folder of this package's cache; made when something is first stored there.

    Args:
        chosen: the user's own choice; None for the environment variable GEOSURGE_JAX_CACHE, or else the
            operating system's place for caches.
    """
    if chosen is not None:
        return chosen
    named = os.environ.get("GEOSURGE_JAX_CACHE")
    return Path(named) if named else user_cache_path("geosurge_jax", appauthor=False)


def keep_compiled_programs(folder: Path) -> None:
    """Lets JAX keep compiled programs in a folder, unless a place was chosen already.

    JAX reads the environment variable JAX_COMPILATION_CACHE_DIR itself.
    """
    if jax.config.jax_compilation_cache_dir is None:  # pyright: ignore[reportAttributeAccessIssue]
        jax.config.update("jax_compilation_cache_dir", str(folder / "compiled"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", _LEAST_COMPILE_SECONDS)
