"""Features of a frozen tower in place of photos: the same answers, and no others taken for them."""

import dataclasses
import io
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from configs import geosurge, isn
from geosurge_jax.dataset.manifest import DatasetError, FeatureColumns
from geosurge_jax.dataset.reader import open_dataset
from geosurge_jax.dataset.record import Record
from geosurge_jax.dataset.rewriting import Rewrite
from geosurge_jax.dataset.writer import write_dataset
from geosurge_jax.experiment import assembly, features, inspect, train
from geosurge_jax.experiment.config_types import ConfigError
from geosurge_jax.experiment.experiment_config import parse
from geosurge_jax.experiment.feature_columns import check_features, frozen_tower
from geosurge_jax.experiment.features import FeatureMaker
from geosurge_jax.experiment.geography import make_geography
from geosurge_jax.importing.segment import segment
from geosurge_jax.input.bad_records import BadRecords
from geosurge_jax.input.evaluation import Views, evaluation_batches
from geosurge_jax.input.geometry import Framing
from geosurge_jax.input.pipeline import Augmentation, train_batches
from geosurge_jax.models.tower import Features
from tests.parity.door import weights_of_clip

SIDE = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("features")


def config(folder):
    raw = geosurge.get_config("tiny")
    raw.init_from = str(weights_of_clip(folder))
    raw.data.directory = str(folder)
    raw.system.visual.preprocessing.update(mean=(0.48, 0.46, 0.41), deviation=(0.27, 0.26, 0.28))
    raw.system.visual.trained_blocks = 0
    raw.system.fusion.dropout = 0.0
    raw.training.update(steps=2, log_every=1, evaluate_every=2, checkpoint_every=2)
    return raw


@pytest.fixture(scope="module")
def made(folder):
    """Directories of a dataset of photos and of their features."""
    features.run(config(folder).to_dict(), folder / "run")
    (photos,) = folder.glob("planet*/planet/2.0.0")
    return photos, folder / "run/features/planet_features/2.0.0"


@pytest.mark.slow
def test_a_head_trained_on_features_answers_photos_with_the_same_bits(folder, made, capsys):
    photos, kept = made
    raw = config(folder)
    raw.data.update(dataset="prepared", source=str(kept))
    raw.evaluation.update(crops=1, datasets=("test", f"{photos}:test"))
    train.run(raw.to_dict(), folder / "head")
    scores = json.loads((folder / "head/scores.json").read_text())
    assert set(scores) == {"planet_features/test", "planet/test"}
    assert scores["planet_features/test"] == scores["planet/test"]
    assert "photos are stored features" in " ".join(capsys.readouterr().err.split())


def test_features_are_made_once(folder, made, capsys):
    before = {path.name: path.stat().st_mtime_ns for path in made[1].iterdir()}
    features.run(config(folder).to_dict(), folder / "run")
    assert before == {path.name: path.stat().st_mtime_ns for path in made[1].iterdir()}
    assert "already there" in capsys.readouterr().out


@pytest.fixture(scope="module")
def model(folder, made):
    """The model, its parameters at the start, and the split of features that belongs to them."""
    parsed = parse(config(folder).to_dict())
    split = open_dataset(made[1]).split("train")
    model = assembly.make_model(parsed, make_geography(parsed, split.latlng))
    with jax.set_mesh(model.mesh):
        plan = assembly.plan_training(parsed, model, 1, 1)
        return model, train.create_state(parsed, model, plan).evaluation_params(), split


def test_features_of_another_tower_are_refused(model):
    built, params, split = model
    check_features(built.system, params, split)

    def refused(message, system=built.system, params=params, **changed):
        columns = dataclasses.replace(split.features, **changed)
        with pytest.raises(ConfigError, match=message):
            check_features(system, params, dataclasses.replace(split, features=columns))

    refused("reads the tokens", tokens=None)
    larger = {**split.features.tower, "size": "L"}
    refused("config.system.visual.size: 'mu' -> 'L'$", tower=larger)
    kernel = params["visual"]["patch_embedding"]["kernel"]
    other = {**params["visual"], "patch_embedding": {"kernel": kernel.at[0, 0].add(1e-6)}}
    refused("with other weights", params={**params, "visual": other})
    vectors = dataclasses.replace(built.system, reads_tokens=False)
    columns = dataclasses.replace(split.features, tokens=None)
    check_features(vectors, params, dataclasses.replace(split, features=columns))


def test_a_tower_that_is_trained_has_no_features(model, folder):
    built, params, _ = model
    trained = dataclasses.replace(built.system, frozen_rules=("^visual/patch_embedding/",))
    with pytest.raises(ConfigError, match="frozen as a whole .*; class_token is trained"):
        frozen_tower(trained, params)
    raw = config(folder)
    raw.init_from = ""
    with pytest.raises(ConfigError, match="^config.init_from='': expected the weights"):
        features.run(raw.to_dict(), folder / "none")
    several = isn.get_config("tiny")
    parsed = parse(several.to_dict())
    geography = make_geography(parsed, model[2].latlng)
    with pytest.raises(ConfigError, match="config.system_name='isn': expected .* has 3"):
        frozen_tower(assembly.make_model(parsed, geography).system, params)


def test_what_wants_photos_refuses_features(folder, made):
    with pytest.raises(DatasetError, match="hold features of photos, expected photos"):
        segment(made[1], folder / "out", maps=folder)
    raw = config(folder)
    raw.data.update(dataset="prepared", source=str(made[1]))
    with pytest.raises(DatasetError, match=r"expected photos \(config.data.source\)"):
        features.run(raw.to_dict(), folder / "again")
    with pytest.raises(DatasetError, match=r"expected photos \(config.data.source\)"):
        inspect.run(raw.to_dict(), folder / "again")
    raw.evaluation.crops = 5
    with pytest.raises(ValueError, match="config.evaluation.crops=5: expected 1"):
        train.run(raw.to_dict(), folder / "crops")
    assert not (folder / "crops/checkpoints").exists()


def encoded(pixels, form):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()


def records():
    """Seven photos, of which the fourth cannot be decoded, with class maps of half the size."""
    rng = np.random.default_rng(0)
    for number in range(7):
        image = encoded(rng.integers(0, 256, (12, 20, 3), np.uint8), "PNG")
        classes = encoded(rng.integers(0, 9, (6, 10), np.uint8), "PNG")
        image = image[:60] if number == 3 else image
        yield Record(
            f"photo{number}", image, (number, -number), classes, scene=(number % 3, -1, -1)
        )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_batches_hold_what_the_tower_answered(tmp_path, dtype):
    """The tower here answers with pixels that the batches of photos hold too."""

    def look(image):
        assert image.shape == (4, SIDE, SIDE, 3)
        values = image.astype(jnp.dtype(dtype)) + jnp.dtype(dtype).type(0.5)
        return Features(values[:, 0, :, 0], values[..., 1].reshape(4, SIDE, SIDE))

    write_dataset(tmp_path, "photos", "1.0.0", {"train": records}, "abcdefghi", {}, "Noise.", "CC0")
    dataset = open_dataset(tmp_path / "photos/1.0.0")
    columns = FeatureColumns(dtype, SIDE, (SIDE, SIDE), SIDE, {}, "")
    made = Rewrite(dataset, tmp_path, "kept", "abcdefghi", {}, columns).run(
        FeatureMaker(look, tuple(columns.shapes), Framing(SIDE), 4, 2), "looking"
    )
    assert (made.counts.made, made.counts.without) == (6, {"unreadable photo": 1})
    kept = open_dataset(made.directory, verify=True)
    assert kept.manifest.features == columns
    read = tfds.builder_from_directory(str(made.directory)).as_data_source(split="train")
    assert read[0]["tokens"].shape == (SIDE, SIDE) and read[0]["tokens"].itemsize == (
        4 if dtype == "float32" else 2
    )

    def batch(split):
        views, bad = Views(7, Framing(SIDE), crops=1), BadRecords("train", 7, 1.0)
        (found,) = evaluation_batches(split, views, targets=None, bad_records=bad)
        return found, bad.found

    (photos, _), (found, bad) = batch(dataset.split("train")), batch(kept.split("train"))
    assert "no features: the photo could not be read" in bad[3][1] and len(bad) == 1
    np.testing.assert_array_equal(found["mask"], [1, 1, 1, 0, 1, 1, 1])
    for name in ("latlng", "scene", "segmentation", "index", "mask"):
        np.testing.assert_array_equal(found[name], photos[name], err_msg=name)
    answered = look(np.concatenate([photos["image"][:4, 0]])), look(photos["image"][3:, 0])
    pooled = np.concatenate([answered[0].pooled, answered[1].pooled[1:]])
    tokens = np.concatenate([answered[0].tokens, answered[1].tokens[1:]])
    good = found["mask"] > 0
    assert found["pooled"].dtype == jnp.dtype(dtype)
    np.testing.assert_array_equal(found["pooled"][good, 0], pooled[good])
    np.testing.assert_array_equal(found["tokens"][good, 0], tokens[good])
    assert not found["tokens"][3].any()
    batches = train_batches(
        kept.split("train"), batch_size=7, framing=Framing(SIDE), augmentation=Augmentation(),
        seed=0, targets=None, bad_records=BadRecords("train", 7, 1.0),
    )  # fmt: skip
    first, order = next(batches), None
    batches.close()
    order = np.argsort(first["index"])
    np.testing.assert_array_equal(first["index"][order], np.arange(7))
    for name in ("pooled", "tokens", "segmentation"):
        np.testing.assert_array_equal(first[name][order], found[name][:, 0], err_msg=name)
    for name in ("mask", "latlng", "scene"):
        np.testing.assert_array_equal(first[name][order], found[name], err_msg=name)
