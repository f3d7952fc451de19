"""Command `python -m data.audit`; see `geosurge_jax.importing.audit`."""

from geosurge_jax.command_end import run_command

if __name__ == "__main__":
    run_command("geosurge_jax.importing.audit")
