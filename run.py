"""Command-line entry point: python run.py --config=FILE.py[:variant] --workdir=DIR [--mode=...] ..."""

from geosurge_jax.command_end import run_command

if __name__ == "__main__":
    run_command("geosurge_jax.serving.command_line")
