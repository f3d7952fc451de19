"""Image towers: what is frozen is what the libraries compute, what is written they read, and every published
model has the tensors that its family expects.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from geosurge_jax.interop.families import clip_text, siglip_text
from geosurge_jax.interop.loading import load_part
from geosurge_jax.interop.model_directory import open_model
from geosurge_jax.interop.part import Part, check_names, part_of
from geosurge_jax.interop.writing import write_model
from geosurge_jax.models.text import TextTower
from geosurge_jax.training.parameters import flatten
from tests.parity import oracles_vit
from tests.parity.comparison import family_of, shapes_of, tower_shapes
from tests.parity.oracle import thaw
from tests.parity.published import MODELS, PUBLISHED

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore"),  # transformers and torch warn of themselves
]

FROZEN = (
    "clip", "clip_gelu", "clip_resized", "siglip", "siglip_resized", "siglip_uneven", "vit", "vit_resized",
    "dinov2", "dinov2_resized", "dinov2_registers", "dinov2_gated", "dinov3", "dinov3_gated",
)  # fmt: skip
# What transformers makes anew where a file lacks it, and nobody asks for: ViT's pooler, a token for masks,
# and no registers as an empty tensor.
MADE_ANEW = {"pooler.dense.weight", "pooler.dense.bias", "embeddings.mask_token"}


@pytest.fixture(scope="module")
def live():
    return {oracle.name: oracle for oracle in oracles_vit.oracles()}


@pytest.mark.parametrize("name", FROZEN)
def test_frozen_towers_are_what_the_libraries_compute(name, live):
    frozen = thaw(name)
    assert set(live) == set(FROZEN)
    assert set(frozen.expected) == set(live[name].expected)
    assert set(frozen.weights) == set(live[name].weights)
    for path, expected in live[name].expected.items():
        np.testing.assert_allclose(frozen.expected[path], expected, atol=2e-6, err_msg=path)
    for tensor, expected in live[name].weights.items():
        np.testing.assert_array_equal(frozen.weights[tensor], expected, err_msg=tensor)


@pytest.mark.parametrize("name", FROZEN)
def test_transformers_reads_what_is_written_and_computes_the_same(name, tmp_path):
    """Everything from the directory alone: architecture, image processor, tensors."""
    import torch
    import transformers

    oracle = thaw(name)
    stored = open_model(oracle.write_directory(tmp_path / "theirs"))
    family = family_of(stored.config["model_type"])
    config = family.read(stored.config, stored.preprocessor)
    params = load_part(part_of(stored, family, config, tower_shapes(config)))
    write_model(tmp_path / "ours", family, config, jax.device_get(params))

    architecture = family.write(config)[0]["architectures"][0]
    model, report = getattr(transformers, architecture).from_pretrained(
        tmp_path / "ours", output_loading_info=True
    )
    made_anew = MADE_ANEW | ({"embeddings.register_tokens"} if not config.registers else set())
    assert set(report.pop("missing_keys")) <= made_anew
    assert not any(report.values()), report
    processor = transformers.AutoImageProcessor.from_pretrained(tmp_path / "ours", use_fast=False)
    pixels = processor(list(oracle.inputs["image"]), return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        output = model.eval()(pixels.float())
    if config.projection:
        pooled = output.image_embeds
    elif config.kind in ("vit", "dinov2", "dinov3"):
        pooled = output.last_hidden_state[:, 0]
    else:
        pooled = output.pooler_output
    np.testing.assert_allclose(pooled.numpy(), oracle.expected["pooled"], atol=1e-5)


def empty_model(config):
    """A model's tensors as transformers names them, of the right shapes and without memory."""
    import torch
    import transformers

    values = {name: value for name, value in config.items() if name != "model_type"}
    described = transformers.AutoConfig.for_model(config["model_type"], **values)
    with torch.device("meta"):
        model = getattr(transformers, MODELS[config["model_type"]])(described)
    tensors = {
        name: np.broadcast_to(np.float32(0), tuple(tensor.shape))
        for name, tensor in model.state_dict().items()
    }
    return model, tensors


def count(shapes):
    return sum(math.prod(leaf.shape) for leaf in flatten(shapes).values())


def expected_count(model, prefixes, left_out=()):
    """Parameters of theirs that belong to a part."""
    return sum(
        parameter.numel()
        for name, parameter in model.named_parameters()
        if name.startswith(prefixes) and not name.endswith(tuple(left_out) or ("\n",))
    )


@pytest.fixture(scope="module", params=sorted(PUBLISHED))
def published(request):
    config = PUBLISHED[request.param]
    return request.param, config, *empty_model(config)


def test_published_image_towers_have_the_tensors_that_their_family_expects(published, tmp_path):
    name, entries, model, tensors = published
    family = family_of(entries["model_type"])
    config = family.read(entries, None)
    shapes = tower_shapes(config)
    part = Part(
        name, tmp_path, tensors, family.entries(config), shapes, family.prefixes, family.ignored
    )
    check_names(part, *part.plan())
    inside = {
        "clip": ("vision_model.", "visual_projection."),
        "siglip": "vision_model.",
        "vit": "vit.",
    }.get(entries["model_type"], "")
    theirs = expected_count(model, inside, ["mask_token"])
    side = entries.get("vision_config", entries).get("image_size", 224)
    # DINOv2's positions are of 518 pixels in its files, and of 224 with its own preprocessing.
    rows = (side // config.patch) ** 2 - config.grid**2
    brought = 0 if config.design.rotary else rows * config.width
    assert count(shapes) == theirs - brought
    # And as run and scanned, with frozen blocks.
    scanned = dataclasses.replace(config, trained_blocks=4, scan=True)
    stacked = dataclasses.replace(
        part, shapes=tower_shapes(scanned), frozen_blocks=scanned.segments[0]
    )
    check_names(stacked, *stacked.plan())


TEXT_FAMILIES = {"clip": clip_text.FAMILY, "siglip": siglip_text.FAMILY}
WITH_TEXT = sorted(name for name in PUBLISHED if PUBLISHED[name]["model_type"] in TEXT_FAMILIES)


@pytest.mark.parametrize("published", WITH_TEXT, indirect=True)
def test_published_text_towers_have_the_tensors_that_their_family_expects(published, tmp_path):
    name, entries, model, tensors = published
    family = TEXT_FAMILIES[entries["model_type"]]
    config = family.read(entries, None)
    tokens = jnp.zeros((1, config.context), jnp.int32)
    shapes = shapes_of(TextTower(config), {"tokens": tokens})
    part = Part(
        name, tmp_path, tensors, family.entries(config), shapes, family.prefixes, family.ignored
    )
    check_names(part, *part.plan())
    assert count(shapes) == expected_count(model, ("text_model.", "text_projection."))


def test_the_tower_of_the_paper_is_that_of_clip_at_336_pixels():
    from configs import geosurge
    from geosurge_jax.experiment.experiment_config import parse
    from geosurge_jax.experiment.initialize import tower_differences

    entries = PUBLISHED["openai/clip-vit-large-patch14-336"]
    theirs = family_of("clip").read(entries, None)
    ours = parse(geosurge.get_config().to_dict()).system.visual
    assert tower_differences("visual", ours, theirs) == []
    # 303.5 million of the tower and 0.8 of the projection (Radford et al. 2021 give no exact figure).
    assert count(tower_shapes(ours)) == 303_507_456
