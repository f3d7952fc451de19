"""Command `python -m data.planet`; see `geosurge_jax.synthetic_earth.dataset`."""

from geosurge_jax.command_end import run_command

if __name__ == "__main__":
    run_command("geosurge_jax.synthetic_earth.dataset")
