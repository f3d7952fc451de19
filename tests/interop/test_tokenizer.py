import json
import shutil

import numpy as np
import pytest

from geosurge_jax.interop import tokenizer as subject
from geosurge_jax.interop.family import WeightsError
from geosurge_jax.interop.tokenizer import load_tokenizer
from tests.parity.oracle import FOLDER

NAMES = ("tokenizer_clip", "tokenizer_siglip", "tokenizer_siglip2")


def expected(name):
    return json.loads((FOLDER / name / "expected.json").read_text())


@pytest.fixture
def directory(tmp_path):
    return shutil.copytree(FOLDER / "tokenizer_clip", tmp_path / "model")


@pytest.mark.parametrize("name", NAMES)
def test_ids_equal_transformers(name):
    oracle = expected(name)
    ids = load_tokenizer(FOLDER / name, oracle["context"]).encode(oracle["sentences"])
    assert ids.dtype == np.int32
    for sentence, ours, theirs in zip(oracle["sentences"], ids, oracle["ids"], strict=True):
        assert ours.tolist() == theirs, sentence


@pytest.mark.parametrize(
    ("name", "end", "pad"),
    [("tokenizer_clip", 785, 785), ("tokenizer_siglip", 1, 1), ("tokenizer_siglip2", 1, 0)],
)
def test_special_tokens(name, end, pad):
    tokenizer = load_tokenizer(FOLDER / name, 9)
    assert (tokenizer.end_token, tokenizer.pad_token) == (end, pad)
    empty, long = tokenizer.encode(["", "yellow line " * 9])
    framed = [784, 785] if name == "tokenizer_clip" else [end]
    assert empty.tolist() == framed + [pad] * (9 - len(framed))
    assert long[-1] == end and pad not in long[:-1]
    largest = max(json.loads((FOLDER / name / "expected.json").read_text())["ids"][0])
    assert tokenizer.vocabulary > largest


def test_no_sentences():
    assert load_tokenizer(FOLDER / "tokenizer_clip", 9).encode([]).shape == (0, 9)


def test_padding_and_cutting_of_the_file_do_not_count(directory):
    """Published files set a length of their own; the tower's holds."""
    path = directory / "tokenizer.json"
    stored = json.loads(path.read_text())
    stored["truncation"] = {
        "direction": "Left",
        "max_length": 1,
        "strategy": "LongestFirst",
        "stride": 0,
    }
    stored["padding"] = {
        "strategy": {"Fixed": 64},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "!",
    }
    path.write_text(json.dumps(stored))
    oracle = expected("tokenizer_clip")
    ids = load_tokenizer(directory, oracle["context"]).encode(oracle["sentences"])
    assert ids.tolist() == oracle["ids"]


def test_half_a_surrogate_pair_is_named():
    with pytest.raises(ValueError, match=r"^sentence 'a \\ud800': not Unicode text"):
        load_tokenizer(FOLDER / "tokenizer_clip", 9).encode(["fine", "a \ud800"])


def change(directory, name, **values):
    path = directory / name
    stored = json.loads(path.read_text())
    path.write_text(json.dumps(stored | values))


def refused(directory, message):
    with pytest.raises(WeightsError, match=message) as caught:
        load_tokenizer(directory, 9)
    assert str(caught.value).startswith(str(directory)) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_missing_files_are_named(directory, name):
    (directory / name).unlink()
    refused(directory, f"{name}: no such file")


@pytest.mark.parametrize("content", ["{", "[]", "{}", "\x00", '{"version": "9.9"}'])
def test_damaged_files_are_named(directory, content):
    (directory / "tokenizer.json").write_text(content)
    refused(directory, r"tokenizer\.json: not a whole tokenizer \(")


def test_damage_that_makes_the_library_panic(directory, capfd):
    normalizer = {"type": "Precompiled", "precompiled_charsmap": "AAAA"}
    change(directory, "tokenizer.json", normalizer=normalizer)
    refused(directory, r"not a whole tokenizer \('Precompiled: ")
    capfd.readouterr()  # the library's own trace


def test_every_cut_of_the_file_is_refused(directory):
    path = directory / "tokenizer.json"
    content = path.read_bytes().rstrip()
    for length in np.linspace(1, len(content) - 1, 25, dtype=int):
        path.write_bytes(content[:length])
        refused(directory, "not a whole tokenizer")


def test_a_tokenizer_of_another_make(directory):
    change(directory, "tokenizer_config.json", tokenizer_class="BertTokenizer")
    refused(directory, "tokenizer_class='BertTokenizer': expected one of .*'SiglipTokenizer'")


def test_a_special_token_that_the_vocabulary_lacks(directory):
    change(directory, "tokenizer_config.json", eos_token="<none>")
    refused(directory, "eos_token='<none>': expected a token of tokenizer.json")


def test_without_a_padding_token(directory):
    (directory / "special_tokens_map.json").unlink()
    refused(directory, "pad_token=None: expected a token")


def test_sentences_that_the_file_does_not_end(directory):
    """The Gemma tokenizer by default; SigLIP 2's own files do end them."""
    change(directory, "tokenizer.json", post_processor=None)
    refused(directory, r"ends sentences without '<\|endoftext\|>'")


def test_a_context_that_the_frame_does_not_fit(directory):
    ids = load_tokenizer(directory, 2).encode(["yellow line"])
    assert ids.tolist() == [[784, 785]]
    with pytest.raises(WeightsError, match="frames sentences by 2 tokens: expected no more than"):
        load_tokenizer(directory, 1)


def test_a_class_that_is_no_name(directory):
    change(directory, "tokenizer_config.json", tokenizer_class=["CLIPTokenizer"])
    refused(directory, "tokenizer_class=.'CLIPTokenizer'.: expected one of")


def test_too_large_a_file(directory, monkeypatch):
    monkeypatch.setattr(subject, "LARGEST_TOKENIZER", 1000)
    refused(directory, r"tokenizer\.json: \d+ bytes, at most 1000 are read")
