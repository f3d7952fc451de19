import dataclasses
import io
import threading
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec
from PIL import Image

from geosurge_jax import Predictor
from geosurge_jax.experiment.trained_model import on_mesh
from geosurge_jax.serving.images import ImageError
from geosurge_jax.serving.prediction import FailedPrediction
from geosurge_jax.training.mesh import MeshConfig, make_mesh
from tests.serving.releases import images


def encoded(pixels, form="PNG", **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, **options)
    return file.getvalue()


@pytest.fixture(scope="module")
def picture():
    return images()[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three images in two folders, a file that is none, and one of another kind."""
    place = tmp_path_factory.mktemp("images")
    (place / "b").mkdir()
    for name, pixels in zip(("c.png", "a.PNG", "b/d.png"), images(), strict=False):
        (place / name).write_bytes(encoded(pixels))
    (place / "broken.jpg").write_bytes(b"not an image")
    (place / "notes.txt").write_text("nothing")
    return place


def test_an_image_may_come_in_any_form(predictor, picture, folder):
    expected = predictor.predict(picture).posterior.log_prob
    upright = Image.Exif()
    upright[0x0112] = 6  # turned right by a quarter
    turned = encoded(np.rot90(picture), "PNG", exif=upright)
    for source in (
        folder / "a.PNG", str(folder / "a.PNG"), encoded(picture), Image.fromarray(picture), turned,
        Image.open(io.BytesIO(turned)),
    ):  # fmt: skip
        np.testing.assert_array_equal(predictor.predict(source).posterior.log_prob, expected)
    assert predictor.predict(folder / "a.PNG").image == str(folder / "a.PNG")
    assert predictor.predict(picture).image == "image 1"


def test_gray_is_repeated_over_the_channels(predictor, picture):
    gray = np.ascontiguousarray(picture[..., 0])
    expected = predictor.predict(np.repeat(gray[..., None], 3, axis=2)).posterior.log_prob
    for source in (gray, Image.fromarray(gray)):
        np.testing.assert_array_equal(predictor.predict(source).posterior.log_prob, expected)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere.jpg", "nowhere.jpg: cannot be read (No such file or directory)"),
        ("a\0b.jpg", "a\0b.jpg: cannot be read (embedded null byte)"),
        (b"", "image 1: empty file"),
        (b"text", "image 1: not a picture (starts with b'text')"),
        (np.zeros((4, 4, 3)), "image 1: array float64 (4, 4, 3): expected uint8 [H, W, 3] or [H, W]"),
        (np.zeros((4, 4, 4), np.uint8), "image 1: array uint8 (4, 4, 4): expected uint8 [H, W, 3] or [H, W]"),
    ],
)  # fmt: skip
def test_an_unreadable_image_is_one_line(predictor, source, message):
    with pytest.raises(ImageError) as error:
        predictor.predict(source)
    assert str(error.value) == message
    (failed,) = predictor.predict([source])
    assert isinstance(failed, FailedPrediction) and failed.error == message


def test_several_images_come_in_order_and_bad_ones_keep_their_place(predictor, folder):
    outcomes = [*predictor.predict(folder)]
    names = [one.image.removeprefix(f"{folder}/") for one in outcomes]
    assert names == ["a.PNG", "broken.jpg", "c.png", "b/d.png"]
    assert [one.error is None for one in outcomes] == [True, False, True, True]
    alone = predictor.predict(folder / "c.png")
    np.testing.assert_allclose(outcomes[2].posterior.log_prob, alone.posterior.log_prob, atol=1e-5)
    assert outcomes[0].posterior.latlng is outcomes[2].posterior.latlng, "the support is shared"


def test_a_generator_is_read_lazily(predictor, picture):
    taken = []

    def endless():
        while True:
            taken.append(len(taken))
            yield picture

    stream = predictor.predict(endless())
    for _ in range(3):
        next(stream)
    stream.close()
    assert len(taken) <= 2 * predictor._inference.buckets[-1]


def test_several_threads_share_a_predictor(release, cache, monkeypatch):
    shared = Predictor.from_pretrained(release, cache_dir=cache)
    computed, precompute = [], shared.model.precompute

    def counted(params):
        computed.append(threading.get_ident())
        return precompute(params)

    object.__setattr__(shared.model, "precompute", counted)
    sources = images() * 4
    with ThreadPoolExecutor(8) as pool:
        found = [*pool.map(shared.predict, sources)]
    for one, again in zip(found[:4], found[4:8], strict=True):
        np.testing.assert_array_equal(one.posterior.log_prob, again.posterior.log_prob)
    assert len(computed) == 1
    assert len({one.latlng for one in found}) > 1


def test_one_program_serves_a_bucket(release, cache, picture, caplog):
    fresh = Predictor.from_pretrained(release, cache_dir=cache)
    assert fresh._inference.buckets == (1, 2, 4, 8)
    with jax.log_compiles():
        [*fresh.predict([picture] * 3)]
        assert "Compiling" in caplog.text
        caplog.clear()
        [*fresh.predict([picture] * 4)]
        assert "Compiling" not in caplog.text


def test_eight_devices_answer_as_one(release, cache, predictor):
    """On a mesh of eight devices, where the encoder is a part of the one program."""
    one = predictor.model
    mesh = make_mesh(MeshConfig(8, 1, 1))
    everywhere = NamedSharding(mesh, PartitionSpec())
    params = jax.device_put(jax.device_get(one.params), everywhere)
    model = dataclasses.replace(one, mesh=mesh, params=params, precompute=on_mesh(one.system, mesh))
    eight = Predictor(model)
    assert eight._inference.buckets == (8,)
    for found, expected in zip(eight.predict(images()), predictor.predict(images()), strict=True):
        np.testing.assert_allclose(found.posterior.log_prob, expected.posterior.log_prob, atol=1e-4)


def test_views_are_averaged(release, cache, picture):
    ten = Predictor.from_pretrained(release, cache_dir=cache, views=10)
    views = ten._preparation.prepare(picture, 1, None).views
    assert views.shape == (10, 32, 32, 3)
    np.testing.assert_array_equal(views[5:], views[:5, :, ::-1])
    one = Predictor.from_pretrained(release, cache_dir=cache)
    alone = [np.exp(p.posterior.log_prob) for p in one.predict([*views])]
    np.testing.assert_allclose(
        np.exp(ten.predict(picture).posterior.log_prob), np.mean(alone, axis=0), rtol=1e-4
    )


def test_vectors_of_images_are_of_unit_length_in_the_space_of_places(predictor, picture):
    vector = predictor.embed(picture)
    assert vector.shape == (512,) and np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    first, failed, third = predictor.embed([picture, b"none", images()[2]])
    np.testing.assert_allclose(first, vector, atol=1e-6)
    assert isinstance(failed, FailedPrediction) and not np.allclose(third, vector)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"views": 3}, r"views=3: expected one of \(1, 5, 10\)"),
        ({"batch_size": 0}, "batch_size=0: expected 1 or more"),
        ({"dtype": "float8"}, "dtype='float8': expected one of"),
        ({"gallery": "nowhere.csv"}, "gallery='nowhere.csv': nowhere.csv: not a readable CSV"),
        ({"segmenter": "nowhere"}, "segmenter='nowhere': no such directory"),
        ({"backbone": "nowhere"}, "backbone='nowhere': no such directory"),
    ],
)
def test_a_wrong_option_is_one_line(release, cache, options, message):
    with pytest.raises(ValueError, match=message) as error:
        Predictor.from_pretrained(release, cache_dir=cache, **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "model='nowhere': no such directory; expected a run directory, .* or one of geoclip"),
        ("hf:nobody/nothing", "model='hf:nobody/nothing': cannot be downloaded .*fetch config.json"),
        ("geoclip", "model='hf:VicenteVivanco/geoclip-geolocation': cannot be downloaded"),
    ],
)  # fmt: skip
def test_a_model_that_is_not_there_is_one_line(tmp_path, name, message):
    with pytest.raises(ValueError, match=message) as error:
        Predictor.from_pretrained(name, cache_dir=tmp_path, local_files_only=True)
    assert "\n" not in str(error.value)


def test_an_empty_folder_is_no_model(tmp_path):
    with pytest.raises(ValueError, match="holds neither run.json nor config.json"):
        Predictor.from_pretrained(tmp_path, cache_dir=tmp_path)


def test_bfloat16_computes_nearly_the_same(release, cache, predictor, picture):
    half = Predictor.from_pretrained(release, cache_dir=cache, dtype="bfloat16")
    assert half.describe()["compute type"] == "bfloat16"
    found, expected = (p.predict(picture).posterior.log_prob for p in (half, predictor))
    assert 0 < np.abs(found - expected).max() < 0.2


def test_a_damaged_gallery_cache_is_computed_again(release, tmp_path, picture, predictor, caplog):
    expected = predictor.predict(picture).posterior.log_prob
    first = Predictor.from_pretrained(release, cache_dir=tmp_path)
    np.testing.assert_array_equal(first.predict(picture).posterior.log_prob, expected)
    (stored,) = (tmp_path / "galleries").iterdir()
    content = stored.read_bytes()
    again = Predictor.from_pretrained(release, cache_dir=tmp_path)
    np.testing.assert_array_equal(again.predict(picture).posterior.log_prob, expected)
    stored.write_bytes(content[:-7])
    damaged = Predictor.from_pretrained(release, cache_dir=tmp_path)
    np.testing.assert_array_equal(damaged.predict(picture).posterior.log_prob, expected)
    assert "computed again" in caplog.text and stored.read_bytes() == content
