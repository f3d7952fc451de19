"""Command `python -m data.folder`; see `geosurge_jax.importing.folder`."""

from geosurge_jax.importing.folder import main

if __name__ == "__main__":
    main()
