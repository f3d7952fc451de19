"""Command `python -m data.prepare`; see `geosurge_jax.importing.prepare`."""

from geosurge_jax.importing.prepare import main

if __name__ == "__main__":
    main()
