"""Command `python -m data.planet`; see `geosurge_jax.synthetic_earth.dataset`."""

from geosurge_jax.synthetic_earth.dataset import main

if __name__ == "__main__":
    main()
