import json
import shutil

import numpy as np
import pytest

from geosurge_jax.interop.family import WeightsError
from geosurge_jax.interop.text_encoder import load_text_encoder
from tests.parity.oracle import FOLDER, thaw

NAMES = ("clip", "siglip")


def write(name, directory):
    oracle = thaw(f"text_encoder_{name}")
    shutil.copytree(FOLDER / f"tokenizer_{name}", directory)
    return oracle.write_directory(directory)


def sentences(name):
    return json.loads((FOLDER / f"tokenizer_{name}" / "expected.json").read_text())["sentences"]


@pytest.fixture
def directory(tmp_path):
    return write("clip", tmp_path / "model")


@pytest.mark.parametrize("name", NAMES)
def test_vectors_of_sentences_equal_transformers(name, tmp_path):
    encoder = load_text_encoder(write(name, tmp_path / "model"))
    expected = thaw(f"text_encoder_{name}").expected["pooled"]
    vectors = encoder.vectors(sentences(name))
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, expected, atol=1e-5, rtol=0)
    directions = encoder.directions(sentences(name))
    lengths = np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(directions, expected / lengths, atol=1e-5, rtol=0)


def change(directory, **values):
    path = directory / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def refused(directory, message):
    with pytest.raises(WeightsError, match=message) as caught:
        load_text_encoder(directory)
    assert str(directory) in str(caught.value) and "\n" not in str(caught.value)


def test_another_model(directory):
    change(directory, model_type="bert")
    refused(directory, r"config\.json: model_type='bert': expected one of \['clip', ")


def test_a_tokenizer_with_more_ids_than_the_tower(directory):
    change(directory, vocab_size=785)
    refused(directory, r"tokenizer\.json: ids up to 785: expected fewer than .* vocabulary of 785$")


def test_a_tokenizer_with_another_end_token(directory):
    change(directory, eos_token_id=7)
    refused(directory, r"tokenizer\.json: end token 785: expected 7 as in config\.json$")


def test_without_its_tokenizer(directory):
    (directory / "tokenizer.json").unlink()
    refused(directory, r"tokenizer\.json: no such file")
