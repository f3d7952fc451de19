"""Command `python -m data.download`; see `geosurge_jax.importing.download`."""

from geosurge_jax.importing.download import main

if __name__ == "__main__":
    main()
