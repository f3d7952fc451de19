"""Command-line entry point: python run.py --config=FILE.py[:variant] --workdir=DIR [--mode=...] ..."""

import sys

from geosurge_jax.serving import command_line

if __name__ == "__main__":
    command_line.main(sys.argv)
