import json
import os

import numpy as np
import pytest
from safetensors.numpy import save_file

from geosurge_jax.interop.model_directory import open_model
from geosurge_jax.interop.safetensors_file import open_safetensors

GIB = 2**30


def file_of(header, body=bytes(16), length=None):
    content = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(content) if length is None else length).to_bytes(8, "little") + content + body


def entry(begin=0, end=16, shape=(4,), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


NOT_WHOLE = "not a whole safetensors file "
TWINS = b'{"a":%s,"a":%s}' % ((json.dumps(entry()).encode(),) * 2)
SAFETENSORS = {
    "header-of-100-GB": (file_of({"a": entry()}, length=100 * GIB), "a header of 107374182400 bytes"),
    "header-of-200-MB": (file_of({"a": entry()}, length=200 * 10**6), "a header of 200000000 bytes"),
    "header-of-2^64": (file_of({"a": entry()}, length=2**64 - 1), "a header of 18446744073709551615"),
    "header-truly-large": (file_of(b"{" + b" " * 20_000_000 + b"}"), "a header of 20000002 bytes"),
    "header-beyond-the-file": (file_of({"a": entry()}, length=5000), NOT_WHOLE + ".*invalid header length"),
    "overlapping": (file_of({"a": entry(), "b": entry(8, 24)}, bytes(24)), NOT_WHOLE + ".*invalid offset"),
    "one-range-twice": (file_of({"a": entry(), "b": entry()}), NOT_WHOLE + ".*invalid offset"),
    "offsets-beyond": (file_of({"a": entry(0, 32, (8,))}), NOT_WHOLE + ".*file not fully covered"),
    "offsets-of-2^63": (file_of({"a": entry(2**63, 2**63 + 16)}), NOT_WHOLE + ".*invalid offset"),
    "offsets-reversed": (file_of({"a": entry(16, 0)}), NOT_WHOLE),
    "hole": (file_of({"a": entry(), "b": entry(20, 36)}, bytes(36)), NOT_WHOLE + ".*invalid offset"),
    "bytes-behind": (file_of({"a": entry()}, bytes(17)), NOT_WHOLE + ".*file not fully covered"),
    "truncated-body": (file_of({"a": entry()}, bytes(15)), NOT_WHOLE + ".*file not fully covered"),
    "shape-of-another-size": (file_of({"a": entry(shape=(5,))}), NOT_WHOLE + ".*invalid shape"),
    "negative-shape": (file_of({"a": entry(shape=(-4,))}), NOT_WHOLE + ".*invalid"),
    "huge-shape": (file_of({"a": entry(shape=(2**62, 2**62))}), NOT_WHOLE + ".*overflow"),
    "fractional-shape": (file_of({"a": entry(shape=(4.0,))}), NOT_WHOLE + ".*invalid"),
    "giant-and-empty": (file_of({"a": entry(0, 0, (2**62, 0))}, b""), "tensor 'a' of shape"),
    "axes": (file_of({"a": entry(0, 4, (1,) * 1000)}, bytes(4)), r"tensor 'a' of shape \[1, .*\.\.\.: .* 64"),
    "duplicate-names": (file_of(TWINS), "stands twice in one object"),
    "unknown-type": (file_of({"a": entry(0, 4, dtype="F8_E4M3")}, bytes(4)), "'a' is of type 'F8_E4M3'"),
    "no-type": (file_of({"a": entry(dtype="F\n33")}), NOT_WHOLE + ".*unknown variant"),
    "no-json": (file_of(b"{not json      }"), NOT_WHOLE + ".*invalid JSON"),
    "no-object": (file_of(b"[1, 2]"), NOT_WHOLE),
    "deep-json": (file_of(b'{"a":' + b"[" * 100_000), NOT_WHOLE),
    "no-text": (file_of(b'{"\xff\xfe": 1}'), NOT_WHOLE + ".*utf-8"),
    "control-characters": (file_of({"\x1b[2J\n": entry(0, 4, dtype="F8_E4M3")}, bytes(4)), r"'\\x1b"),
    "seven-bytes": (b"1234567", NOT_WHOLE),
    "empty": (b"", "is empty, weights were expected"),
    "another-format": (b"PK\3\4" + bytes(100), NOT_WHOLE),
}  # fmt: skip


@pytest.mark.parametrize(("content", "reason"), SAFETENSORS.values(), ids=SAFETENSORS.keys())
def test_a_hostile_safetensors_file_is_refused(content, reason, tmp_path, refused):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    refused(open_safetensors, path, reason)


def test_the_same_file_without_harm_is_read(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(file_of({"a": entry()}))
    np.testing.assert_array_equal(open_safetensors(path)["a"], np.zeros(4, np.float32))


def index(shard):
    def prepare(directory):
        (directory / "model.safetensors").unlink()
        weight_map = json.dumps({"weight_map": {"a": shard}})
        (directory / "model.safetensors.index.json").write_text(weight_map)

    return prepare


def replaced(name, make):
    def prepare(directory):
        (directory / name).unlink()
        make(directory / name)

    return prepare


def sparse(path):
    with path.open("wb") as file:
        file.truncate(GIB)


def json_of(content):
    return lambda path: path.write_bytes(content)


INDEX = "model.safetensors.index.json"
OUTSIDE = "shard {}, the name of a file beside it was expected"
DIRECTORIES = {
    "shard-step-back": (index("../../etc/passwd"), OUTSIDE.format("'../../etc/passwd'")),
    "shard-absolute": (index("/etc/passwd"), OUTSIDE.format("'/etc/passwd'")),
    "shard-parent": (index(".."), OUTSIDE.format(r"'\.\.'")),
    "shard-nul": (index("a\0b"), OUTSIDE.format(r"'a\\x00b'")),
    "shard-surrogate": (index("\ud800"), OUTSIDE.format(r"'\\ud800'")),
    "shard-number": (index(7), OUTSIDE.format("7")),
    "shard-missing": (index("model-1.safetensors"), "model-1.safetensors: no such file"),
    "index-without-map": (
        lambda directory: (index("x")(directory), (directory / INDEX).write_text("{}")),
        f"{INDEX}: no weight_map from tensors to files",
    ),
    "link-out": (
        replaced("model.safetensors", lambda path: path.symlink_to("../outside.safetensors")),
        "model.safetensors: is a link that leads out of",
    ),
    "link-to-passwords": (
        replaced("config.json", lambda path: path.symlink_to("/etc/passwd")),
        "config.json: is a link that leads out of",
    ),
    "link-to-nothing": (
        replaced("model.safetensors", lambda path: path.symlink_to("nothing")), "no such file",
    ),
    "link-to-itself": (
        replaced("model.safetensors", lambda path: path.symlink_to(path.name)),
        "model.safetensors: cannot be read .*[Ss]ymlink loop",
    ),
    "link-to-a-device": (
        replaced("model.safetensors", lambda path: path.symlink_to("/dev/zero")), "leads out of",
    ),
    "pipe": (replaced("model.safetensors", os.mkfifo), "model.safetensors: is a named pipe, a plain"),
    "pipe-for-config": (replaced("config.json", os.mkfifo), "config.json: is a named pipe, a plain"),
    "directory-for-weights": (replaced("model.safetensors", os.mkdir), "safetensors: is a directory"),
    "directory-for-config": (replaced("config.json", os.mkdir), "config.json: is a directory, a plain"),
    "config-of-1-GB": (replaced("config.json", sparse), "config.json: 1073741824 bytes of JSON, at most"),
    "config-no-json": (replaced("config.json", json_of(b"{,}")), "config.json: JSON that cannot be read"),
    "config-no-text": (replaced("config.json", json_of(b"\xff")), "config.json: JSON that cannot be read"),
    "config-list": (replaced("config.json", json_of(b"[]")), "JSON list, an object was expected"),
    "config-deep": (replaced("config.json", json_of(b"[" * 10**6)), "nested too deeply"),
    "config-digits": (replaced("config.json", json_of(b'{"a":' + b"9" * 9999 + b"}")), "cannot be read"),
    "config-twins": (replaced("config.json", json_of(b'{"a":1,"a":2}')), "'a' stands twice"),
    "preprocessor-no-json": (
        lambda directory: (directory / "preprocessor_config.json").write_text("<html>"),
        "preprocessor_config.json: JSON that cannot be read",
    ),
    "weights-sparse": (
        replaced("model.safetensors", sparse), NOT_WHOLE + ".*invalid JSON",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("prepare", "reason"), DIRECTORIES.values(), ids=DIRECTORIES.keys())
def test_a_hostile_directory_is_refused(prepare, reason, tmp_path, refused):
    save_file({"a": np.zeros(4, np.float32)}, tmp_path / "outside.safetensors")
    directory = tmp_path / "model"
    directory.mkdir()
    (directory / "config.json").write_text("{}")
    save_file({"a": np.zeros(4, np.float32)}, directory / "model.safetensors")
    assert set(open_model(directory).tensors) == {"a"}
    prepare(directory)
    refused(open_model, directory, reason)


def test_a_device_is_not_opened(tmp_path, refused):
    refused(open_safetensors, type(tmp_path)("/dev/zero"), "/dev/zero: is a device, a plain file")


def test_weights_that_are_no_numbers_are_still_whole(tmp_path):
    # Whether they are finite is looked at where they are used.
    path = tmp_path / "model.safetensors"
    save_file({"a": np.array([np.nan, np.inf, -np.inf, 0], np.float32)}, path)
    assert np.isfinite(open_safetensors(path)["a"]).tolist() == [False, False, False, True]
