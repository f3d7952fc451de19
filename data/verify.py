"""`python -m data.verify`: geosurge_jax.importing.verify."""

from geosurge_jax.command_end import run_command

if __name__ == "__main__":
    run_command("geosurge_jax.importing.verify")
