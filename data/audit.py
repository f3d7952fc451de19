"""Command `python -m data.audit`; see `geosurge_jax.importing.audit`."""

from geosurge_jax.importing.audit import main

if __name__ == "__main__":
    main()
