import json
import struct

import jax.numpy as jnp
import numpy as np
import pytest

from geosurge_jax.interop.parameters import load_safetensors, save_safetensors

RNG = np.random.default_rng(0)
PARAMS = {
    "tower": {
        "kernel": RNG.standard_normal((3, 4)).astype(np.float32),
        "scale": np.asarray(jnp.asarray(RNG.standard_normal(5), jnp.bfloat16)),
        "transposed": RNG.standard_normal((4, 2)).astype(np.float32).T,
    },
    "temperature": np.float32(0.07).reshape(()),
    "cells": np.arange(6, dtype=np.int32),
}


def read_by_the_specification(path):
    """Header length, JSON header, bytes: the format as its documentation defines it."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    metadata = header.pop("__metadata__")
    types = {"F32": np.float32, "BF16": jnp.bfloat16, "I32": np.int32}
    arrays = {
        name: np.frombuffer(data[slice(*entry["data_offsets"])], types[entry["dtype"]]).reshape(
            entry["shape"]
        )
        for name, entry in header.items()
    }
    return arrays, metadata


def test_the_file_holds_every_array_under_its_path(tmp_path):
    path = tmp_path / "parameters.safetensors"
    save_safetensors(path, PARAMS, {"step": "7"})
    arrays, metadata = read_by_the_specification(path)
    assert metadata == {"step": "7"} and path.stat().st_mode & 0o777 == 0o644
    assert sorted(arrays) == [
        "cells", "temperature", "tower/kernel", "tower/scale", "tower/transposed",
    ]  # fmt: skip
    for name, expected in (("tower/scale", PARAMS["tower"]["scale"]), ("cells", PARAMS["cells"])):
        assert arrays[name].dtype == expected.dtype
        assert arrays[name].tobytes() == expected.tobytes()
    np.testing.assert_array_equal(arrays["tower/transposed"], PARAMS["tower"]["transposed"])


def test_it_loads_back_equal(tmp_path):
    path = tmp_path / "parameters.safetensors"
    save_safetensors(path, PARAMS, {})
    loaded, metadata = load_safetensors(path)
    assert metadata == {} and set(loaded) == set(PARAMS)
    for name, expected in PARAMS["tower"].items():
        assert loaded["tower"][name].dtype == expected.dtype
        np.testing.assert_array_equal(loaded["tower"][name], expected)
    assert loaded["temperature"].shape == () and loaded["temperature"] == PARAMS["temperature"]


def test_files_that_are_none(tmp_path):
    path = tmp_path / "parameters.safetensors"
    with pytest.raises(FileNotFoundError, match="no such safetensors file"):
        load_safetensors(path)
    save_safetensors(path, PARAMS, {})
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"parameters.safetensors: not a whole safetensors file"):
        load_safetensors(path)
    with pytest.raises(OSError, match="nowhere/x: cannot be written"):
        save_safetensors(tmp_path / "nowhere/x", PARAMS, {})
