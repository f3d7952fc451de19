"""What is frozen is what the libraries compute today, and what is written is what they read."""

import json

import numpy as np
import pytest

from geosurge_jax.interop.families import clip_text, siglip_text
from geosurge_jax.interop.tokenizer import load_tokenizer
from tests.parity import oracles_location, oracles_text
from tests.parity.oracle import FOLDER, thaw
from tests.parity.oracles_tokenizer import SENTENCES, tokenizer_oracles

pytestmark = pytest.mark.parity


@pytest.mark.parametrize("module", [oracles_text, oracles_location])
def test_frozen_parts_are_what_the_libraries_compute(module):
    for live in module.oracles():
        frozen = thaw(live.name)
        assert set(frozen.expected) == set(live.expected)
        for path, expected in live.expected.items():
            np.testing.assert_allclose(frozen.expected[path], expected, atol=2e-6, err_msg=path)


def test_tokenizers_give_the_ids_of_transformers(tmp_path):
    for live in tokenizer_oracles():
        directory = live.write_directory(tmp_path / live.name)
        ours = load_tokenizer(directory, live.context).encode(SENTENCES)
        assert ours.tolist() == live.ids
        frozen = json.loads((FOLDER / live.name / "expected.json").read_text())
        assert frozen["sentences"] == SENTENCES


@pytest.mark.parametrize(
    ("name", "family", "model"),
    [
        ("clip_text_legacy_end", clip_text.FAMILY, "CLIPTextModelWithProjection"),
        ("clip_text_explicit_end", clip_text.FAMILY, "CLIPTextModelWithProjection"),
        ("siglip_text", siglip_text.FAMILY, "SiglipTextModel"),
    ],
)
def test_transformers_reads_what_is_written(name, family, model, tmp_path):
    """Through our names and shapes and back; whole models come out as their text towers."""
    import torch
    import transformers
    from safetensors.numpy import save_file

    oracle = thaw(name)
    config = family.read(oracle.config, None)
    written, _ = family.write(config)
    tensors = {}
    for entry in family.entries(config):
        ours = entry.transform.to_ours(oracle.weights[entry.name])
        tensors[entry.name] = np.ascontiguousarray(entry.transform.to_theirs(ours))
    (tmp_path / "config.json").write_text(json.dumps(written))
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    read, report = getattr(transformers, model).from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values()), report
    with torch.no_grad():
        output = oracles_text.pooled_output(
            read.eval(), torch.from_numpy(oracle.inputs["tokens"].astype(np.int64))
        )
    np.testing.assert_allclose(output.numpy(), oracle.expected["pooled"], atol=1e-6)
