"""Command `python -m data.segment`; see `geosurge_jax.importing.segment`."""

from geosurge_jax.importing.segment import main

if __name__ == "__main__":
    main()
