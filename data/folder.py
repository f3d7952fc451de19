"""Command `python -m data.folder`; see `geosurge_jax.importing.folder`."""

from geosurge_jax.command_end import run_command

if __name__ == "__main__":
    run_command("geosurge_jax.importing.folder")
