"""Freezes the oracles, so that the fast tests need neither torch nor transformers.

.venv-parity/bin/python -m tests.parity.freeze
"""

from tests.parity import freeze_torch_files
from tests.parity.live import ORACLES


def main():
    for make in ORACLES:
        for oracle in make():
            path = oracle.freeze()
            files = [path] if path.is_file() else [*path.iterdir()]
            print(f"{path.name}: {sum(file.stat().st_size for file in files):,} bytes")
    freeze_torch_files.freeze()


if __name__ == "__main__":
    main()
