import resource

import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from geosurge_jax.interop.safetensors_file import (
    open_safetensors,
    safetensors_metadata,
    write_safetensors,
)

RNG = np.random.default_rng(0)
TYPES = [
    np.float64, np.float32, np.float16, jnp.bfloat16, np.int64, np.int32, np.int16, np.int8,
    np.uint64, np.uint32, np.uint16, np.uint8, np.bool_,
]  # fmt: skip
ARRAYS = {np.dtype(kind).name: RNG.integers(0, 2, (3, 5)).astype(kind) for kind in TYPES}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A file that the library wrote."""
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    arrays = ARRAYS | {"scalar": np.array(2.5, np.float32), "empty": np.zeros((0, 4), np.float32)}
    save_file(arrays, path, metadata={"format": "pt"})
    return path


def test_every_array_is_as_the_library_reads_it(path):
    arrays, expected = open_safetensors(path), load_file(path)
    assert set(arrays) == set(expected) and len(arrays) == len(TYPES) + 2
    for name, array in expected.items():
        assert arrays[name].dtype == array.dtype and arrays[name].shape == array.shape
        np.testing.assert_array_equal(arrays[name], array)
    assert safetensors_metadata(path) == {"format": "pt"}


def test_arrays_are_views_that_cannot_be_written(path):
    for array in open_safetensors(path).values():
        assert not array.flags.writeable and not array.flags.owndata


def test_opening_reads_no_tensor(tmp_path):
    # Four GB of zeros that take no room on the disk.
    count, path = 2**30, tmp_path / "large.safetensors"
    header = b'{"a":{"dtype":"F32","shape":[%d],"data_offsets":[0,%d]}}' % (count, 4 * count)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(file.tell() + 4 * count)
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    array = open_safetensors(path)["a"]
    assert array.shape == (count,) and array[-1] == 0.0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident < 100_000  # kB


def test_what_is_written_is_read_by_the_library(tmp_path):
    path = tmp_path / "written.safetensors"
    arrays = {"rows.weight": ARRAYS["float32"], "columns.weight": ARRAYS["bfloat16"].T}
    write_safetensors(path, arrays, {"step": "7"})
    read = load_file(path)
    assert set(read) == set(arrays) and path.stat().st_mode & 0o777 == 0o644
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)
    assert safetensors_metadata(path) == {"step": "7"}


def test_a_file_without_metadata_has_none(tmp_path):
    save_file(ARRAYS, tmp_path / "bare.safetensors")
    assert safetensors_metadata(tmp_path / "bare.safetensors") == {}
