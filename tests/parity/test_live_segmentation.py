"""SegFormer beside transformers itself, and its other segmenters as the data importer runs them."""

import dataclasses
import io
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from geosurge_jax.dataset.ade20k import CLASSES
from geosurge_jax.dataset.reader import open_dataset
from geosurge_jax.dataset.record import Record
from geosurge_jax.dataset.writer import write_dataset
from geosurge_jax.importing.segment import segment
from geosurge_jax.importing.segment_library import LibrarySegmenter
from geosurge_jax.importing.segment_model import NativeSegmenter
from geosurge_jax.input.images import decode_class_map
from geosurge_jax.input.plain_png import write_plain_png
from geosurge_jax.interop.families.segformer import FAMILY, PUBLISHED
from geosurge_jax.interop.writing import write_model
from geosurge_jax.models.segformer import Segformer, SegformerConfig
from geosurge_jax.training.parameters import flatten
from tests.parity.comparison import TOLERANCE, shapes_of
from tests.parity.oracle import thaw
from tests.parity.oracles_segmentation import oracles
from tests.parity.segmentation import load_frozen

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore"),  # transformers and torch warn of themselves
]

LABELS = dict(enumerate(CLASSES))
SIZES = [(24, 36), (36, 24), (24, 24)]


def photos():
    """Smooth noise, so that classes have areas; landscape, portrait and square."""
    random = np.random.default_rng(3)
    found = []
    for width, height in ((60, 40), (40, 60), (50, 50)):
        coarse = Image.fromarray(random.integers(0, 256, (6, 6, 3), np.uint8))
        found.append(np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)))
    return found


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    records = []
    for number, pixels in enumerate(photos()):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        records.append(Record(id=str(number), image=file.getvalue(), latlng=(0, 0)))
    return write_dataset(
        tmp_path_factory.mktemp("old"), "photos", "1.0.0", {"train": lambda: records}, CLASSES, {}, "", ""
    )  # fmt: skip


@pytest.fixture(scope="module")
def segformer(tmp_path_factory):
    """A small random SegFormer of 150 classes, as transformers saves it."""
    import torch
    import transformers

    torch.manual_seed(0)
    config = transformers.SegformerConfig(
        depths=[1, 2, 1, 1],
        hidden_sizes=[8, 16, 24, 32],
        num_attention_heads=[1, 2, 3, 4],
        decoder_hidden_size=16,
        initializer_range=0.5,
        id2label=LABELS,
    )
    directory = tmp_path_factory.mktemp("segformer")
    transformers.SegformerForSemanticSegmentation(config).eval().save_pretrained(directory)
    processor = transformers.SegformerImageProcessor(size={"height": 64, "width": 64})
    processor.save_pretrained(directory)
    return directory


@pytest.mark.parametrize("name", ["segformer-even", "segformer-odd"])
def test_directory_written_loads_in_transformers_and_computes_the_same(name, tmp_path):
    import torch
    import transformers

    oracle, frozen = {one.name: one for one in oracles()}[name], thaw(name)
    for path, value in frozen.expected.items():
        np.testing.assert_allclose(oracle.expected[path], value, atol=TOLERANCE, err_msg=path)
    config, params = load_frozen(oracle)
    write_model(tmp_path, FAMILY, config, jax.device_get(params))
    model, report = transformers.SegformerForSemanticSegmentation.from_pretrained(
        tmp_path, output_loading_info=True
    )
    missing = {key for key in report["missing_keys"] if "num_batches_tracked" not in key}
    assert not missing and not report["unexpected_keys"] and not report["mismatched_keys"]
    assert tuple(model.config.id2label[n] for n in range(5)) == config.class_names
    processor = transformers.AutoImageProcessor.from_pretrained(tmp_path, use_fast=False)
    pixels = processor(list(oracle.inputs["image"]), return_tensors="pt")
    with torch.no_grad():
        logits = model.eval()(**pixels).logits.numpy().transpose(0, 2, 3, 1)
    np.testing.assert_allclose(logits, oracle.expected["logits"], atol=TOLERANCE)


@pytest.mark.parametrize("size", ["B0", "B1", "B2", "B3", "B4", "B5"])
def test_published_sizes_have_the_tensors_that_transformers_expects(size):
    import torch
    import transformers

    config = SegformerConfig(size, CLASSES, dataclasses.replace(PUBLISHED, image_size=64))
    entries, _ = FAMILY.write(config)
    with torch.device("meta"):
        theirs = transformers.SegformerForSemanticSegmentation(
            transformers.SegformerConfig.from_dict(json.loads(json.dumps(entries)))
        ).state_dict()
    expected = {k: tuple(v.shape) for k, v in theirs.items() if "num_batches_tracked" not in k}
    image = jnp.zeros((1, 64, 64, 3), jnp.uint8)
    shapes = flatten(shapes_of(Segformer(config), {"image": image}))
    found = {}
    for entry in FAMILY.entries(config):
        ours = np.broadcast_to(np.float32(0), shapes.pop(entry.path).shape)
        found[entry.name] = entry.transform.to_theirs(ours).shape
    assert found == expected and not shapes


def test_maps_of_photos_are_those_of_the_library(segformer):
    native = NativeSegmenter(str(segformer), 8, 24)
    library = LibrarySegmenter(str(segformer))
    assert tuple(native.class_names) == tuple(library.class_names) == CLASSES
    ours = native.maps([native.prepare(photo) for photo in photos()], SIZES)
    theirs = library.maps([library.prepare(photo) for photo in photos()], SIZES)
    pixels = differ = classes = 0
    for one, other, size in zip(ours, theirs, SIZES, strict=True):
        assert one.shape == other.shape == size
        pixels, differ = pixels + one.size, differ + (one != other).sum()
        classes += len(np.unique(one))
    assert classes > 6
    # Where two classes are as likely up to the rounding, either may win.
    assert differ <= 2, (differ, pixels)


def test_a_dataset_by_the_library_is_that_of_our_own(dataset, segformer, tmp_path):
    results = [
        segment(
            dataset, tmp_path, model=str(segformer), short_side=24, batch_size=8,
            library=library, name=library,
        )
        for library in ("native", "transformers")
    ]  # fmt: skip
    records = [open_dataset(result.directory).split("train").records for result in results]
    for one, other, size in zip(*records, SIZES, strict=True):
        ours, theirs = (decode_class_map(r["segmentation"]) for r in (one, other))
        assert ours.shape == theirs.shape == size
        assert (ours != theirs).sum() <= 2


def test_mask2former_by_the_library(dataset, tmp_path):
    import torch
    import transformers

    torch.manual_seed(0)
    backbone = transformers.SwinConfig(
        image_size=64, embed_dim=16, depths=[1, 1, 1, 1], num_heads=[1, 2, 4, 8], window_size=4,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )  # fmt: skip
    config = transformers.Mask2FormerConfig(
        backbone_config=backbone, feature_size=32, mask_feature_size=32, hidden_dim=32, num_queries=12,
        encoder_feedforward_dim=32, dim_feedforward=32, encoder_layers=1, decoder_layers=2,
        num_attention_heads=2, id2label=LABELS, init_std=1.0,
    )  # fmt: skip
    model = transformers.Mask2FormerForUniversalSegmentation(config).eval()
    processor = transformers.Mask2FormerImageProcessor(
        size={"shortest_edge": 64, "longest_edge": 160}, num_labels=150
    )
    model.save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    result = segment(
        dataset, tmp_path, model=str(tmp_path / "model"), short_side=24, library="transformers"
    )
    found = open_dataset(result.directory, verify=True)
    assert found.manifest.source["segmentation"]["model"]["library"].startswith("transformers 4.")
    several = False
    for record, photo, size in zip(found.split("train").records, photos(), SIZES, strict=True):
        inputs = processor(images=[photo], return_tensors="pt")
        with torch.no_grad():
            outputs = model(**inputs)
        expected = processor.post_process_semantic_segmentation(outputs, target_sizes=[size])[0]
        stored = decode_class_map(record["segmentation"])
        assert stored.shape == size
        np.testing.assert_array_equal(stored, expected.numpy())
        assert write_plain_png(stored) == record["segmentation"]
        several |= len(np.unique(stored)) > 1
    assert several


def test_oneformer_is_told_its_task(dataset, tmp_path):
    import torch
    import transformers

    from tests.parity.oracle import FOLDER

    torch.manual_seed(0)
    backbone = transformers.SwinConfig(
        image_size=64, embed_dim=16, depths=[1, 1, 1, 1], num_heads=[1, 2, 4, 8], window_size=4,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )  # fmt: skip
    config = transformers.OneFormerConfig(
        backbone_config=backbone, conv_dim=32, mask_dim=32, hidden_dim=32, num_queries=12,
        encoder_feedforward_dim=32, dim_feedforward=32, encoder_layers=1, decoder_layers=3,
        num_attention_heads=2, id2label=LABELS, init_std=1.0, task_seq_len=16, use_task_norm=True,
        text_encoder_width=32, text_encoder_num_layers=1, text_encoder_n_ctx=0, query_dec_layers=1,
        is_training=False,
    )  # fmt: skip
    model = transformers.OneFormerForUniversalSegmentation(config).eval()
    classes = {str(n): {"isthing": 0, "name": name} for n, name in LABELS.items()}
    (tmp_path / "classes.json").write_text(json.dumps(classes))
    image_processor = transformers.OneFormerImageProcessor(
        size={"shortest_edge": 64, "longest_edge": 160}, repo_path=str(tmp_path),
        class_info_file="classes.json", num_labels=150,
    )  # fmt: skip
    tokenizer = transformers.AutoTokenizer.from_pretrained(FOLDER / "tokenizer_clip")
    processor = transformers.OneFormerProcessor(image_processor, tokenizer, 16, 16)
    model.save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    result = segment(
        dataset, tmp_path, model=str(tmp_path / "model"), short_side=24, library="transformers"
    )
    records, several = open_dataset(result.directory).split("train").records, False
    for record, photo, size in zip(records, photos(), SIZES, strict=True):
        inputs = processor(images=[photo], task_inputs=["semantic"], return_tensors="pt")
        with torch.no_grad():
            outputs = model(**inputs)
        expected = processor.post_process_semantic_segmentation(outputs, target_sizes=[size])[0]
        np.testing.assert_array_equal(decode_class_map(record["segmentation"]), expected.numpy())
        several |= len(np.unique(expected)) > 1
    assert several
