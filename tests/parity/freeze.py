"""Freezes the oracles, so that the fast tests need neither torch nor transformers.

.venv-parity/bin/python -m tests.parity.freeze
"""

import warnings

from tests.parity.live import ORACLES


def main():
    warnings.simplefilter("error")
    for make in ORACLES:
        for oracle in make():
            path = oracle.freeze()
            print(f"{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
