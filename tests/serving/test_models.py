"""What a Predictor opens: runs and exports of systems, with and without segmentation maps."""

import json

import numpy as np
import pytest

from configs import cplanet, geosurge, regression
from geosurge_jax import Predictor
from geosurge_jax.dataset.ade20k import CLASSES
from geosurge_jax.experiment import export
from geosurge_jax.experiment.trained_model import SYNTHETIC_WARNING
from geosurge_jax.experiment.workdir import read_record, write_json
from geosurge_jax.importing.segment_model import NativeSegmenter
from geosurge_jax.interop.family import WeightsError
from tests.experiment.fresh import checkpoint
from tests.parity.oracle import thaw


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def segmentation_map():
    return np.random.default_rng(1).integers(0, 150, (20, 30)).astype(np.uint8)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of GeoSURGE with a checkpoint and an export."""
    raw = geosurge.get_config("tiny").to_dict()
    workdir, *_ = checkpoint(tmp_path_factory.mktemp("run"), raw)
    export.run(raw, workdir.root, "float32", ("safetensors",))
    return workdir


@pytest.fixture(scope="module")
def predictor(run, cache):
    return Predictor.from_pretrained(run.root, cache_dir=cache)


@pytest.fixture(scope="module")
def segmenter_directory(tmp_path_factory):
    """A small random SegFormer that knows ADE20K's classes by their names."""
    oracle = thaw("segformer-even")
    directory = oracle.write_directory(tmp_path_factory.mktemp("segmenter"))
    config = json.loads((directory / "config.json").read_text())
    config["id2label"] = {str(number): name for number, name in enumerate(CLASSES[:5])}
    config["label2id"] = {name: number for number, name in enumerate(CLASSES[:5])}
    (directory / "config.json").write_text(json.dumps(config))
    return directory


def test_a_run_opens_by_its_directory_alone(predictor, run, image, segmentation_map):
    """The posterior is that of the system's own function on the same pixels and classes."""
    prediction = predictor.predict(image, segmentation_maps=segmentation_map)
    prepared = predictor._preparation.prepare(image, 1, segmentation_map)
    batch = predictor._preparation.host_batch([prepared])
    side = predictor.model.system.preprocessing.image_size
    assert batch["image"].shape == (1, 1, side, side, 3)
    expected = predictor.model.system.posterior(
        predictor.model.params, {}, {name: array[:, 0] for name, array in batch.items()}
    )
    np.testing.assert_allclose(prediction.posterior.log_prob, expected.log_prob[0], atol=1e-4)
    np.testing.assert_array_equal(prediction.posterior.latlng, expected.latlng)
    assert prediction.model == "GeoSURGE tiny" and predictor.describe()["training step"] == "3"


@pytest.mark.parametrize("system", [cplanet, regression])
def test_an_export_answers_as_its_run(system, image, tmp_path, cache):
    raw = system.get_config("tiny").to_dict()
    (tmp_path / "run").mkdir()
    workdir, *_ = checkpoint(tmp_path / "run", raw)
    export.run(raw, workdir.root, "float32", ("safetensors",))
    exported = workdir.export.rename(tmp_path / "elsewhere")
    predictors = [
        Predictor.from_pretrained(place, cache_dir=cache) for place in (workdir.root, exported)
    ]
    found = [one.predict(image) for one in predictors]
    np.testing.assert_array_equal(found[0].posterior.log_prob, found[1].posterior.log_prob)
    np.testing.assert_array_equal(found[0].posterior.latlng, found[1].posterior.latlng)
    descriptions = [one.describe() for one in predictors]
    assert [d.pop("source") for d in descriptions] == [str(workdir.root), str(exported)]
    assert descriptions[0] == descriptions[1]


def test_a_model_of_the_synthetic_earth_warns_in_every_output(predictor, run, cache, image):
    for one in (predictor, Predictor.from_pretrained(run.export, cache_dir=cache)):
        prediction = one.predict(image)
        assert prediction.warnings[0] == SYNTHETIC_WARNING
        assert (
            SYNTHETIC_WARNING in repr(prediction) and SYNTHETIC_WARNING in prediction._repr_html_()
        )
        assert SYNTHETIC_WARNING in prediction.to_dict()["warnings"]
        features = prediction.to_geojson()["features"]
        assert all(SYNTHETIC_WARNING in one["properties"]["warnings"] for one in features)


def test_a_missing_segmentation_map_is_a_warning(predictor, image, segmentation_map):
    without, given = (
        predictor.predict(image, segmentation_maps=one) for one in (None, segmentation_map)
    )
    assert any(text.startswith("segmentation missing: every pixel") for text in without.warnings)
    assert not any("segmentation" in text for text in given.warnings)
    assert np.abs(without.posterior.log_prob - given.posterior.log_prob).max() > 1e-4


def test_maps_of_a_folder_go_to_the_images_of_their_names(
    predictor, image, segmentation_map, tmp_path
):
    from PIL import Image

    (tmp_path / "maps").mkdir()
    for name in ("a", "b"):
        Image.fromarray(image).save(tmp_path / f"{name}.png")
    Image.fromarray(segmentation_map).save(tmp_path / "maps" / "b.png")
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    bare, mapped = predictor.predict(paths, segmentation_maps=tmp_path / "maps")
    expected = predictor.predict(image, segmentation_maps=segmentation_map)
    np.testing.assert_allclose(mapped.posterior.log_prob, expected.posterior.log_prob, atol=1e-5)
    assert any("segmentation missing" in text for text in bare.warnings)
    several = [*predictor.predict([image, image], segmentation_maps=[None, segmentation_map])]
    np.testing.assert_allclose(
        several[1].posterior.log_prob, expected.posterior.log_prob, atol=1e-5
    )


def test_the_recorded_segmenter_makes_the_maps(run, segmenter_directory, cache, image, tmp_path):
    """The maps are those of the segmenter called on its own, through the recorded class table."""
    segmenter = NativeSegmenter(str(segmenter_directory), 8, 24)
    table = [7, 8, 9, 10, 255]
    recorded = {
        "source": str(segmenter_directory),
        "library": "native",
        "identity": segmenter.identity,
        "class_table": table,
        "short_side": 24,
    }
    record = read_record(run)
    for name in ("checkpoints", "geocells.npz", "survey.npz"):
        (tmp_path / name).symlink_to(run.root / name)
    write_json(tmp_path / "run.json", {**record, "data": {"segmentation": recorded}})
    segmenting = Predictor.from_pretrained(tmp_path, cache_dir=cache)
    found = segmenting.predict(image)
    assert not any("segmentation" in text for text in found.warnings)
    (classes,) = segmenter.maps([segmenter.prepare(image)], [(24, 36)])
    plain = Predictor.from_pretrained(run.root, cache_dir=cache)
    expected = plain.predict(image, segmentation_maps=np.array(table, np.uint8)[classes])
    np.testing.assert_allclose(found.posterior.log_prob, expected.posterior.log_prob, atol=1e-5)
    for changes, reason in (
        ({"identity": {"config.json": "0"}}, "is another than the one that made"),
        ({"source": "nowhere"}, "nowhere that made the training maps is not there"),
        ({"source": "hf:nobody/nothing"}, "is not in the cache"),
    ):
        write_json(tmp_path / "run.json", {**record, "data": {"segmentation": recorded | changes}})
        warned = Predictor.from_pretrained(tmp_path, cache_dir=cache).predict(image).warnings
        assert any("segmentation missing" in text and reason in text for text in warned)


def test_a_segmenter_with_other_classes_is_refused(run, segmenter_directory, cache):
    with pytest.raises(ValueError, match=r"segmenter=.*expected the 150 classes of ADE20K"):
        Predictor.from_pretrained(run.root, cache_dir=cache, segmenter=segmenter_directory)


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("config.json", lambda text: text.replace(b'"geosurge"', b'"atlantis"'), "system_name='atlantis'"),
        ("config.json", lambda text: text.replace(b'"decision"', b'"choice"'), "not a whole exported model"),
        ("parameters.safetensors", lambda text: text[:-9], "not a whole safetensors file"),
        ("geocells.npz", lambda text: text[:200], "not a whole exported model"),
    ],
)  # fmt: skip
def test_a_damaged_export_is_one_line(run, tmp_path, cache, name, damage, message):
    import shutil

    folder = tmp_path / "export"
    shutil.copytree(run.export, folder)
    (folder / name).write_bytes(damage((folder / name).read_bytes()))
    with pytest.raises(WeightsError, match=message) as error:
        Predictor.from_pretrained(folder, cache_dir=cache)
    assert "\n" not in str(error.value)


def test_a_damaged_run_record_is_one_line(run, tmp_path, cache):
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(ValueError, match=r"run.json: not readable as JSON") as error:
        Predictor.from_pretrained(tmp_path, cache_dir=cache)
    assert "\n" not in str(error.value)


def test_a_system_without_a_space_with_texts_says_so(predictor):
    with pytest.raises(ValueError, match="the system 'geosurge' has no common space with texts"):
        predictor.query("a beach")


def test_the_vector_of_geosurge_is_what_geocells_are_compared_with(
    predictor, image, segmentation_map
):
    """Cosines of it with the finest table, divided by the temperature, are the scores of that level."""
    vector = predictor.embed(image, segmentation_maps=segmentation_map)
    assert vector.shape == (predictor.model.config.embedding_width,)
    assert np.abs(vector).max() > 0
    other = predictor.embed(image[::-1].copy(), segmentation_maps=segmentation_map)
    assert not np.allclose(vector, other, atol=1e-4)
