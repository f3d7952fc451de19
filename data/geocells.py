"""Command `python -m data.geocells`; see `geosurge_jax.importing.geocells`."""

from geosurge_jax.command_end import run_command

if __name__ == "__main__":
    run_command("geosurge_jax.importing.geocells")
