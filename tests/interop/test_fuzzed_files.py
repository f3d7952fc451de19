import pathlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from geosurge_jax.interop.family import WeightsError
from geosurge_jax.interop.safetensors_file import open_safetensors
from geosurge_jax.interop.torch_file import open_torch

FROZEN = pathlib.Path(__file__).parent / "frozen"


def safetensors(tmp_path):
    path = tmp_path / "original"
    arrays = {"a": np.ones((2, 3), np.float32), "b": np.ones(4, np.float16), "c": np.ones(2, bool)}
    save_file(arrays, path, metadata={"format": "pt"})
    return path.read_bytes()


ORIGINALS = {
    "zip": (open_torch, lambda _: (FROZEN / "zip.pth").read_bytes()),
    "protocol4": (open_torch, lambda _: (FROZEN / "zip_protocol4.pth").read_bytes()),
    "legacy": (open_torch, lambda _: (FROZEN / "legacy.bin").read_bytes()),
    "safetensors": (open_safetensors, safetensors),
}


@pytest.mark.parametrize(("read", "original"), ORIGINALS.values(), ids=ORIGINALS.keys())
def test_changed_bytes_end_in_arrays_or_a_refusal(read, original, tmp_path):
    content = original(tmp_path)
    path = tmp_path / "changed"
    positions = st.integers(0, len(content) - 1)
    changes = st.lists(st.tuples(positions, st.integers(0, 255)), min_size=1, max_size=4)
    cuts = st.one_of(st.just((0, 0)), st.tuples(positions, st.integers(0, 40)))

    @settings(
        max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(changes, cuts)
    def opens_or_refuses(changes, cut):
        changed = bytearray(content)
        for position, byte in changes:
            changed[position] = byte
        begin, count = cut
        del changed[begin : begin + count]
        path.write_bytes(changed)
        try:
            arrays = read(path)
        except WeightsError as error:
            assert str(error).startswith(str(path)) and str(error).isprintable()
            return
        for name, array in arrays.items():
            assert isinstance(name, str) and array.nbytes <= len(changed)
            assert len(array.tobytes()) == array.nbytes

    opens_or_refuses()
