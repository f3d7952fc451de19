"""Command `python -m data.geocells`; see `geosurge_jax.importing.geocells`."""

from geosurge_jax.importing.geocells import main

if __name__ == "__main__":
    main()
