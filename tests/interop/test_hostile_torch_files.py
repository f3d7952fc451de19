import io
import os
import pickle
import stat
import struct
import tarfile
import zipfile

import numpy as np
import pytest

from geosurge_jax.interop.family import WeightsError
from geosurge_jax.interop.torch_file import open_torch

VALUES = np.arange(4, dtype="<f4")
BYTES = VALUES.tobytes()
ORDERED = b"ccollections\nOrderedDict\n"
GIB = 2**30


def text(value):
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def whole(number):
    if type(number) is bool:
        return b"\x88" if number else b"\x89"
    encoded = pickle.encode_long(number)
    return b"\x8a" + bytes([len(encoded)]) + encoded


def tuple_of(*items):
    return b"(" + b"".join(items) + b"t"


def storage(key="0", count=4, kind="FloatStorage"):
    named = f"ctorch\n{kind}\n".encode()
    return tuple_of(text("storage"), named, text(key), text("cuda:0"), whole(count)) + b"Q"


def tensor(size=(4,), stride=(1,), offset=0, stored=None, bits=b""):
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n"
        + tuple_of(
            stored or storage(),
            whole(offset),
            tuple_of(*map(whole, size)),
            tuple_of(*map(whole, stride)),
            b"\x89",
            ORDERED + b")R",
            bits,
        )
        + b"R"
    )


def state(value=None, name="a"):
    return b"\x80\x02}(" + text(name) + (value or tensor()) + b"u."


def archive(data=None, entries=(), compression=zipfile.ZIP_STORED):
    written = {"w/data.pkl": data or state(), "w/data/0": BYTES} | dict(entries)
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w", compression) as target:
            for name, content in written.items():
                if content is not None:
                    target.writestr(name, content)
        return file.getvalue()


def legacy(
    data=None, keys=("0",), count=4, content=BYTES, magic=0x1950A86A20F9469CFC6C,
    protocol=1001, little=True,
):  # fmt: skip
    system = {"protocol_version": 1001, "little_endian": little, "type_sizes": {"int": 4}}
    heads = b"".join(pickle.dumps(value, 2) for value in (magic, protocol, system))
    body = (data or state()) + pickle.dumps(list(keys), 2)
    return heads + body + struct.pack("<q", count) + content


def patched(content, marker, offset, layout, *values, last=False):
    """Overwrites fields of a zip record: of the first one that begins with `marker`, or the last."""
    content = bytearray(content)
    position = content.rindex(marker) if last else content.index(marker)
    struct.pack_into(layout, content, position + offset, *values)
    return bytes(content)


CENTRAL, LOCAL, END = b"PK\1\2", b"PK\3\4", b"PK\5\6"


class Runs:
    """Its pickle, given to Python, makes the file `ran`."""

    def __init__(self, function, argument):
        self.called = function, (argument,)

    def __reduce__(self):
        return self.called


TOUCH = Runs(os.system, "touch ran")
EVALUATE = Runs(eval, "open('ran', 'w')")


def laughs(levels=40):
    """Nested tuples of 2^40 leaves, by reference."""
    doubled = b"".join(b"q\x00h\x00\x86" for _ in range(levels))
    return text("ha") + doubled


def two_named(first, second):
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w") as target:
            target.writestr(first, state())
            target.writestr("w/data/0", BYTES)
            target.writestr("w/data/X", BYTES)
        # zipfile warns of twins, so that the second one is renamed in place
        return file.getvalue().replace(b"w/data/X", second)


def with_link():
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w") as target:
            link = zipfile.ZipInfo("w/data/0")
            link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
            target.writestr(link, "/etc/passwd")
            target.writestr("w/data.pkl", state())
        return file.getvalue()


def zip64(size, data=b""):
    """An archive whose only entry takes its size from a 64-bit field."""
    extra = struct.pack("<2HQQ", 1, 16, size, size)
    name, unset = b"w/data.pkl", 0xFFFFFFFF
    local = (
        LOCAL + struct.pack("<5H3L2H", 45, 0, 0, 0, 0, 0, unset, unset, len(name), 0) + name + data
    )
    central = (
        struct.pack("<6H3L5H2L", 45, 45, 0, 0, 0, 0, 0, unset, unset, len(name), 20, 0, 0, 0, 0, 0)
        + name
        + extra
    )
    end = END + struct.pack("<4H2LH", 0, 0, 1, 1, len(central) + 4, len(local), 0)
    return local + CENTRAL + central + end


def tar():
    with io.BytesIO() as file:
        with tarfile.open(fileobj=file, mode="w") as target:
            target.addfile(tarfile.TarInfo("../../ran"), io.BytesIO(b""))
        return file.getvalue()


PICKLES = {
    "reduce-os-system": (pickle.dumps({"a": TOUCH}, 2), r"GLOBAL at byte \d+: names '\w+.system'"),
    "reduce-protocol-0": (pickle.dumps({"a": TOUCH}, 0), "instruction DICT at byte 1"),
    "reduce-protocol-4": (pickle.dumps({"a": TOUCH}, 4), "STACK_GLOBAL .* names '[a-z]+.system'"),
    "eval-global": (pickle.dumps(EVALUATE, 2), "GLOBAL at byte 2: names '__builtin__.eval'"),
    "eval-stack-global": (
        pickle.dumps(EVALUATE, 4),
        "names 'builtins.eval', which is not executed",
    ),
    "eval-by-instance": (b"(S'1'\nibuiltins\neval\n.", "instruction STRING at byte 1"),
    "attribute-of-a-known-module": (b"\x80\x02ctorch\nload\n.", "names 'torch.load'"),
    "dotted-name": (b"\x80\x02ccollections\nOrderedDict.__init__\n.", "names 'collections.Ordered"),
    "escapes-in-a-name": (b"\x80\x02cos\nsys\x1b[2Jtem\n.", r"names 'os.sys\\x1b"),
    "backslash-in-a-name": (b"\x80\x02cos\nsys\\tem\n.", r"names 'os.sys\\\\tem'"),
    "call-of-a-type": (
        b"\x80\x02ctorch\nFloatStorage\n)R.",
        "REDUCE at byte 23: calls Float32DType .* not executed",
    ),
    "build-on-another-object": (b"\x80\x02}}b.", "BUILD at byte 4: changes dict"),
    "instance": (b"(ios\nsystem\n.", "instruction INST at byte 1"),
    "object": (b"(" + ORDERED + b"o.", "instruction OBJ at byte"),
    "new-object": (ORDERED + b")\x81.", "instruction NEWOBJ"),
    "extension-1": (b"\x82\x01.", "instruction EXT1 at byte 0"),
    "extension-2": (b"\x83\x01\x00.", "instruction EXT2 at byte 0"),
    "extension-4": (b"\x84\x01\x00\x00\x00.", "instruction EXT4 at byte 0"),
    "unknown-instruction": (b"\x80\x02\xff.", r"at byte 2: byte b'\\xff'"),
    "memo-bomb": (b"}" + b"".join(b"r" + struct.pack("<I", i) for i in range(600_000)), "500000"),
    "dictionaries-bomb": (b"}" * 600_000, "pickle of more than 500000 instructions"),
    "marks-bomb": (b"(" * 600_000, "pickle of more than 500000 instructions"),
    "large-pickle": (state() + b"." * 9_000_000, "9000[0-9]+ bytes, a pickle of at most 8388608"),
    "billion-laughs": (state(laughs()), "entry 'a' is tuple, a tensor"),
    "billion-laughs-key": (b"}" + laughs() + b"Ns.", "SETITEM at byte .* tuple as a key"),
    "billion-laughs-size": (state(tensor(bits=laughs())), "sign or conjugate is put off"),
    "billion-laughs-storage": (state(laughs() + b"Q"), "a storage that is not whole"),
    "deep-nesting": (state(b"]" * 200_000 + b"a" * 199_999), "entry 'a' is list"),
    "list-in-itself": (state(b"]q\x00h\x00a"), "entry 'a' is list"),
    "huge-number": (b"\x8b\xff\xff\xff\x7f1.", "instruction LONG4 at byte 0"),
    "huge-text": (b"X\xff\xff\xff\xffabc.", "BINUNICODE at byte 0: expected 4294967295 bytes"),
    "huge-text-8": (b"\x8d" + b"\xff" * 8 + b"abc.", "instruction BINUNICODE8 at byte 0"),
    "negative-text": (b"T\xff\xff\xff\xffabc.", "BINSTRING at byte 0: string4 byte count < 0"),
    "no-text": (b"X\2\0\0\0\xff\xff.", "BINUNICODE at byte 0: 'utf-8' codec"),
    "truncated": (state()[:-20], "GLOBAL at byte 112: a name without end"),
    "without-end": (state()[:-1], "at byte 142: ends without STOP"),
    "empty-stack": (b"\x80\x02.", "STOP at byte 2: takes from an empty stack"),
    "no-mark": (b"\x80\x02t.", "TUPLE at byte 2: takes up to a mark"),
    "not-remembered": (b"\x80\x02h\x07.", "BINGET at byte 2: recalls 7"),
    "key-without-value": (b"}(K\1u.", "SETITEMS at byte 4: a key without a value"),
    "no-state-dict": (b"\x80\x02K\1.", "holds int, a state dict was expected"),
    "number-for-a-tensor": (state(b"K\1"), "entry 'a' is int, a tensor by its name"),
}
TENSORS = {
    "storage-shorter": (state(tensor((9,), stored=storage(count=9))), "16 bytes, 36 bytes were"),
    "storage-missing": (state(tensor(stored=storage("../0"))), r"storage 'w/data/\.\./0': no such"),
    "storage-negative": (state(tensor(stored=storage(count=-1))), "a storage that is not whole"),
    "storage-of-2^70": (state(tensor(stored=storage(count=2**70))), "a storage that is not whole"),
    "more-elements": (state(tensor((5,))), r"size \(5,\).* more elements than its storage, 4"),
    "offset-beyond": (state(tensor(offset=1)), "offset 1: leads out of its storage of 4"),
    "stride-beyond": (state(tensor((2,), (4,))), "leads out of its storage of 4 elements"),
    "stride-overflow": (state(tensor((3,), (2**63 - 1,))), "leads out of its storage"),
    "giant-by-stride-0": (state(tensor((10**9, 10**9), (0, 0))), "has more elements"),
    "giant-and-empty": (state(tensor((0, 2**62), (1, 1))), "too large for an array, though empty"),
    "negative-offset": (state(tensor(offset=-1)), "whole numbers from 0"),
    "negative-stride": (state(tensor(stride=(-1,), offset=3)), "whole numbers from 0"),
    "negative-size": (state(tensor((-4,))), "whole numbers from 0"),
    "size-of-2^64": (state(tensor((2**64,), (0,))), "whole numbers from 0"),
    "size-no-number": (state(tensor((True,))), "whole numbers from 0"),
    "more-strides": (state(tensor((4,), (1, 1))), "1 axes and 2 strides"),
    "axes": (state(tensor((1,) * 33, (0,) * 33)), "33 axes"),
    "two-types": (
        state(tensor() + text("b") + tensor(stored=storage(kind="IntStorage"))),
        "storage '0' is described in two ways",
    ),
    "put-off": (state(tensor(bits=b"}" + text("conj") + b"\x88s")), "sign or conjugate is put off"),
}
ZIPS = {
    "step-back": (archive(entries={"w/../../ran": b""}), r"entry name 'w/\.\./\.\./ran'"),
    "absolute": (archive(entries={"/tmp/ran": b""}), "entry name '/tmp/ran'"),
    "backslash": (archive(entries={r"w/..\ran": b""}), r"entry name 'w/\.\.\\\\ran'"),
    "no-folder": (archive(entries={"ran": b""}), "entry name 'ran', FOLDER/NAME was expected"),
    "two-folders": (archive(entries={"v/data.pkl": b""}), "several top folders"),
    "name-no-text": (archive(entries={"w/é": b""}).replace("é".encode(), b"\xff\xff"), "utf-8"),
    "symbolic-link": (with_link(), "entry 'w/data/0' is a link"),
    "compressed-bomb": (
        archive(entries={"w/data/0": bytes(50_000_000)}, compression=zipfile.ZIP_DEFLATED),
        "entry 'w/data.pkl' is compressed",
    ),
    "encrypted": (patched(archive(), CENTRAL, 8, "<H", 1), "entry 'w/data.pkl' is encrypted"),
    "encrypted-locally": (patched(archive(), LOCAL, 6, "<H", 1), "its own header disagree"),
    "compressed-locally": (patched(archive(), LOCAL, 8, "<H", 8), "its own header disagree"),
    "overlapping": (patched(archive(), CENTRAL, 42, "<L", 0, last=True), "overlaps another"),
    "header-elsewhere": (
        patched(archive(), CENTRAL, 42, "<L", 99),
        "entry .w/data.pkl. and its own header disagree",
    ),
    "header-beyond": (
        patched(archive(), CENTRAL, 42, "<L", 2**31, last=True),
        "behind the directory",
    ),
    "same-name": (two_named("w/data.pkl", b"w/data/0"), "two entries are named 'w/data/0'"),
    "other-name-locally": (archive().replace(b"w/data/0", b"w/data/1", 1), "header disagree"),
    "two-sizes": (patched(archive(), LOCAL, 22, "<L", 7), "two sizes"),
    "size-beyond": (
        patched(
            patched(archive(), CENTRAL, 20, "<2L", GIB, GIB, last=True),
            LOCAL,
            22,
            "<L",
            GIB,
            last=True,
        ),
        "does not end before the directory",
    ),
    "count": (patched(archive(), END, 8, "<2H", 9, 9), "2 entries in its directory, 9"),
    "several-parts": (patched(archive(), END, 4, "<2H", 1, 1), "in several parts"),
    "directory-elsewhere": (patched(archive(), END, 16, "<L", 7), "not where it is said"),
    "directory-of-4-GB": (patched(archive(), END, 12, "<L", 2**32 - 1), "not where it is said"),
    "directory-too-large": (
        LOCAL + bytes(17_000_000) + END + struct.pack("<4H2LH", 0, 0, 1, 1, 17_000_000, 4, 0),
        "directory of 17000000 bytes, at most 16777216",
    ),
    "truncated": (archive()[:-1], "does not end with the record"),
    "half": (archive()[:300], "does not end with the record"),
    "nothing-in-it": (LOCAL + END + struct.pack("<4H2LH", 0, 0, 0, 0, 0, 4, 0), "top folders"),
    "64-bit-size": (zip64(2**63), "does not end before the directory"),
    "64-bit-locator": (
        archive()[:-22] + b"PK\6\7" + struct.pack("<LQL", 0, 2**63, 1) + archive()[-22:],
        "64-bit closing record is not where",
    ),
    "no-pickle": (archive(entries={"w/data.pkl": None}), "w/data.pkl: no such entry"),
    "big-endian": (archive(entries={"w/byteorder": b"big"}), "byteorder is not little"),
    "torchscript": (archive(entries={"w/constants.pkl": b""}), "a TorchScript program"),
}
OTHERS = {
    "legacy-reduce": (legacy(pickle.dumps({"a": TOUCH}, 2)), r"state: .* names '\w+.system'"),
    "legacy-reduce-first": (pickle.dumps(TOUCH, 2), r"magic number: .* names '\w+.system'"),
    "legacy-keys-reduce": (
        legacy(state() + pickle.dumps(TOUCH, 2)), r"storage keys: .* names '\w+.system'",
    ),
    "legacy-magic": (legacy(magic=7), "a pickle, but none of torch.save"),
    "legacy-protocol": (legacy(protocol=1002), "not of protocol 1001"),
    "legacy-big-endian": (legacy(little=False), "little-endian"),
    "legacy-keys": (legacy(keys=("1",)), "keys are not those"),
    "legacy-keys-twice": (legacy(keys=("0", "0")), "keys are not those"),
    "legacy-count": (legacy(count=3), "storage '0': 3 elements"),
    "legacy-negative-count": (legacy(count=-1), "storage '0': -1 elements"),
    "legacy-truncated": (legacy(content=b"abc"), "3 bytes left, 4 elements of float32"),
    "legacy-giant": (
        legacy(state(tensor((2**62,), stored=storage(count=2**62))), count=2**62), "16 bytes left",
    ),
    "legacy-more": (legacy(content=BYTES + b"more"), "4 bytes behind the last storage"),
    "legacy-outside": (legacy(state(tensor(offset=1))), "leads out of its storage"),
    "legacy-text": (b"\x80\x02X" + struct.pack("<I", 2**31) + bytes(10_000_000), "expected 2147483648"),
    "tar-step-back": (tar(), "a tar archive"),
    "web-page": (b"<!DOCTYPE html>", "begins with b'<!DOCTYPE html>', a file of torch.save"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\n", "begins with b'version https"),
    "empty": (b"", "is empty"),
}  # fmt: skip
ROWS = (
    {f"pickle-{name}": (archive(data), reason) for name, (data, reason) in PICKLES.items()}
    | {f"tensor-{name}": (archive(data), reason) for name, (data, reason) in TENSORS.items()}
    | {f"zip-{name}": row for name, row in ZIPS.items()}
    | OTHERS
)


@pytest.mark.parametrize(("content", "reason"), ROWS.values(), ids=ROWS.keys())
def test_a_hostile_file_is_refused(content, reason, tmp_path, monkeypatch, refused):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(content)
    refused(open_torch, path, reason)
    assert os.listdir(tmp_path) == [path.name]
    assert not (tmp_path.parent / "ran").exists()


def test_the_hostile_pickle_would_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps({"a": TOUCH}, 2))
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [archive(), legacy()], ids=["zip", "legacy"])
def test_the_same_files_without_harm_are_read(content, tmp_path):
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(content)
    np.testing.assert_array_equal(open_torch(path)["a"], VALUES)


@pytest.mark.parametrize(
    "value",
    [tensor((2, 2), (0, 3)), tensor((0,), offset=4), tensor((1, 2), (2**62, 3))],
    ids=["repeated", "empty", "stride-of-one"],
)
def test_unusual_tensors_that_lie_in_their_storage_are_read(value, tmp_path):
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(archive(state(value)))
    (array,) = open_torch(path).values()
    assert array.size <= 4 and not array.flags.writeable
    assert set(array.ravel().tolist()) <= {0.0, 3.0}


def test_a_memo_of_a_high_index_costs_nothing(tmp_path):
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(archive(b"\x80\x02}r\xff\xff\xff\xff."))
    assert open_torch(path) == {}


def test_sizes_of_64_bits_are_read(tmp_path):
    path, data = tmp_path / "pytorch_model.bin", state(tensor((0,), stored=storage("none", 0)))
    path.write_bytes(zip64(len(data), data))
    with zipfile.ZipFile(path) as oracle:
        assert oracle.infolist()[0].file_size == len(data)
    # The pickle is found; the storage that it names is not there.
    with pytest.raises(WeightsError, match="storage 'w/data/none': no such entry, 0 bytes"):
        open_torch(path)
