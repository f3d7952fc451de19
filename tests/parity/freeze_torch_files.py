"""Writes small files with torch.save, and what torch has in them, for tests that run without torch.

The legacy format names tensors' memory by its address, so legacy.bin has other bytes each time.
"""

from collections import OrderedDict
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parents[1] / "interop" / "frozen"


def state_dict():
    import torch

    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(3, 4, generator=generator)
    state = OrderedDict(
        {
            "embedding.weight": matrix,
            "head.weight": matrix,  # tied
            "transposed": torch.randn(5, 2, generator=generator).t(),
            "rows": torch.arange(20.0, dtype=torch.float64).reshape(5, 4)[1:4:2],
            "half": torch.randn(7, generator=generator).half(),
            "bfloat16": torch.randn(2, 3, generator=generator).bfloat16(),
            "position_ids": torch.arange(6)[None],
            "mask": torch.tensor([True, False, True]),
            "bytes": torch.tensor([0, 255], dtype=torch.uint8),
            "signed": torch.tensor([-1, 1], dtype=torch.int8),
            "short": torch.tensor([-300], dtype=torch.int16),
            "int": torch.tensor([[70_000]], dtype=torch.int32),
            "parameter": torch.nn.Parameter(torch.randn(2, generator=generator)),
            "scalar": torch.tensor(2.6592),
            "empty": torch.zeros(0, 4),
        }
    )
    state._metadata = OrderedDict({"": {"version": 1}, "head": {"version": 2}})
    return state


def freeze() -> None:
    import torch

    FOLDER.mkdir(exist_ok=True)
    state = state_dict()
    torch.save(state, FOLDER / "zip.pth")
    torch.save(state, FOLDER / "zip_protocol4.pth", pickle_protocol=4)
    torch.save(state, FOLDER / "legacy.bin", _use_new_zipfile_serialization=False)
    checkpoint = {"epoch": 3, "loss": 0.5, "optimizer": {"state": {0: {"step": 1}}}}
    torch.save(checkpoint | {"state_dict": state}, FOLDER / "checkpoint.pth")
    torch.save(state["scalar"], FOLDER / "tensor.pth")
    values = {name: tensor.detach().double().numpy() for name, tensor in state.items()}
    types = {
        f"type of {name}": np.array(str(tensor.dtype).removeprefix("torch."))
        for name, tensor in state.items()
    }
    np.savez_compressed(FOLDER / "expected.npz", **values, **types)


if __name__ == "__main__":
    freeze()
