import pickle
from collections import OrderedDict

import pytest

from geosurge_jax.interop.family import WeightsError
from geosurge_jax.interop.pickled import ORDERED_DICT, Function, read_pickle

PLAIN = {
    "text": "é" * 300,
    "numbers": [0, 255, 256, 65536, -1, 2**40, -(2**70), 0.5, float("inf")],
    "flags": (True, False, None),
    "tuples": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)),
    3: {"empty": {}, "nothing": []},
    "ordered": OrderedDict([("b", 1), ("a", OrderedDict())]),
}


def no_storage(identity):
    raise ValueError(f"{identity} is not known")


def read(content, known=None, persistent=no_storage):
    known = {("collections", "OrderedDict"): ORDERED_DICT} | (known or {})
    return read_pickle(memoryview(content), "here", known, persistent)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_values_are_read_as_python_reads_them(protocol):
    content = pickle.dumps(PLAIN, protocol)
    value, length = read(content + b"what follows")
    assert value == pickle.loads(content) == PLAIN and length == len(content)
    assert list(value["ordered"]) == ["b", "a"]


def test_an_object_that_stands_twice_is_one_object():
    shared = ["a"]
    value, _ = read(pickle.dumps([shared, shared], 2))
    assert value[0] is value[1]


def test_strings_and_ordered_dictionaries_of_python_2_are_read():
    # pickle.dumps(OrderedDict([("a", 1)]), 2) of Python 2.7
    content = (
        b"\x80\x02ccollections\nOrderedDict\nq\x00]q\x01]q\x02(U\x01aq\x03K\x01ea\x85q\x04Rq\x05."
    )
    assert read(content)[0] == pickle.loads(content) == OrderedDict(a=1)


@pytest.mark.parametrize("items", [b"]N]\x86a", b"]]a", b"]K\1a", b"K\1"])
def test_an_ordered_dictionary_of_something_else_is_refused(items):
    with pytest.raises(WeightsError, match="OrderedDict of something else"):
        read(b"ccollections\nOrderedDict\n" + items + b"\x85R.")


def test_known_names_mean_what_the_table_says():
    called = []
    known = {
        ("os", "system"): Function(lambda arguments: called.append(arguments) or "ours"),
        ("torch", "float32"): "a type",
    }
    content = b"\x80\x02cos\nsystem\nX\2\0\0\0ls\x85Rctorch\nfloat32\n\x86."
    assert read(content, known)[0] == ("ours", "a type")
    assert called == [("ls",)]


def test_the_state_of_an_ordered_dictionary_is_left_out():
    content = b"ccollections\nOrderedDict\n)R}X\1\0\0\0a]sb."
    value, _ = read(content)
    assert value == OrderedDict() and not vars(value)


def test_identities_are_given_to_the_caller():
    content = b"\x80\x02X\1\0\0\0kQX\1\0\0\0lQ\x86."
    assert read(content, persistent=lambda identity: identity * 2)[0] == ("kk", "ll")
    with pytest.raises(
        WeightsError, match="here: pickle instruction BINPERSID at byte 8: k is not"
    ):
        read(content)
