import pathlib
import pickle
import resource

import jax.numpy as jnp
import numpy as np
import pytest

from geosurge_jax.interop.family import WeightsError
from geosurge_jax.interop.torch_file import open_torch

FROZEN = pathlib.Path(__file__).parent / "frozen"  # written by tests/parity/freeze_torch_files.py
SHARED = pathlib.Path(__file__).resolve().parents[2].parent / "shared" / "reference"
STATE_DICTS = ["zip.pth", "zip_protocol4.pth", "legacy.bin", "checkpoint.pth"]


@pytest.fixture(scope="module")
def expected():
    """What torch said of each tensor: (type, values in float64)."""
    with np.load(FROZEN / "expected.npz") as file:
        return {
            name: (np.dtype(str(file[f"type of {name}"])), file[name])
            for name in file.files
            if not name.startswith("type of ")
        }


@pytest.mark.parametrize("name", STATE_DICTS)
def test_every_tensor_is_as_torch_saved_it(name, expected):
    arrays = open_torch(FROZEN / name)
    assert list(arrays) == list(expected) and len(arrays) == 15
    for tensor, (dtype, values) in expected.items():
        assert arrays[tensor].dtype == dtype and arrays[tensor].shape == values.shape, tensor
        np.testing.assert_array_equal(arrays[tensor].astype(np.float64), values, tensor)
    assert arrays["bfloat16"].dtype == jnp.bfloat16


@pytest.mark.parametrize("name", STATE_DICTS)
def test_arrays_are_views_that_cannot_be_written(name):
    arrays = open_torch(FROZEN / name)
    assert not any(array.flags.writeable or array.flags.owndata for array in arrays.values())
    assert np.shares_memory(arrays["embedding.weight"], arrays["head.weight"])
    assert not np.shares_memory(arrays["embedding.weight"], arrays["transposed"])


def test_a_bare_tensor_has_the_empty_name():
    arrays = open_torch(FROZEN / "tensor.pth")
    assert arrays == {"": np.float32(2.6592)} and arrays[""].shape == ()


def test_opening_reads_no_tensor(tmp_path):
    # Four GB of zeros that take no room on the disk.
    count, path = 2**30, tmp_path / "large.bin"
    heads = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
    begin = b"".join(pickle.dumps(head, 2) for head in heads)
    storage = b"(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0kX\3\0\0\0cpuJ\0\0\0\x40tQ"
    size = b"(J\0\0\0\x40t(K\1t\x89ccollections\nOrderedDict\n)R"
    state = (
        b"\x80\x02}X\1\0\0\0actorch._utils\n_rebuild_tensor_v2\n("
        + storage
        + b"K\0"
        + size
        + b"tRs."
    )
    with path.open("wb") as file:
        file.write(begin + state + b"\x80\x02]X\1\0\0\0ka." + count.to_bytes(8, "little"))
        file.truncate(file.tell() + 4 * count)
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (array,) = open_torch(path).values()
    assert array.shape == (count,) and array[-1] == 0.0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident < 100_000  # kB


def test_the_weights_of_geoclip_are_read():
    if not SHARED.is_dir():
        pytest.skip(
            "runs where ../shared/reference, GeoCLIP's published weights, lies beside the checkout"
        )
    (scale,) = open_torch(SHARED / "geoclip_logit_scale_weights.pth").values()
    assert scale.shape == () and abs(float(scale) - 3.6810) < 5e-5
    head = open_torch(SHARED / "geoclip_image_encoder_mlp_weights.pth")
    assert {name: array.shape for name, array in head.items()} == {
        "0.weight": (768, 768), "0.bias": (768,), "2.weight": (512, 768), "2.bias": (512,),
    }  # fmt: skip
    for array in head.values():
        # Both layers were initialised uniformly within 1/sqrt(768) = 0.036 before they were trained.
        assert np.isfinite(array).all() and 0.01 < array.std() < 0.1


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(WeightsError, match="nowhere.bin: no such file"):
        open_torch(tmp_path / "nowhere.bin")
