"""Command `python -m data.build`; see `geosurge_jax.importing.build`."""

from geosurge_jax.importing.build import main

if __name__ == "__main__":
    main()
