import jax
import numpy as np
import pytest

from configs import geoclip
from geosurge_jax.experiment import export
from geosurge_jax.interop import exported_model
from geosurge_jax.serving.location_encoder import LocationEncoder
from tests.experiment.fresh import checkpoint
from tests.models.location_twin import float64_location_encoder


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    raw = geoclip.get_config("tiny").to_dict()
    raw["system"]["visual"]["projection"] = 0
    workdir, model, params = checkpoint(tmp_path_factory.mktemp("run"), raw)
    export.run(raw, workdir.root, "float32", export.DEFAULT_FORMATS)
    return workdir.export, model, params


def test_the_location_encoder_goes_out_for_others(exported):
    folder, _, params = exported
    encoder = LocationEncoder.from_pretrained(folder)
    latlng = np.array([[48.85, 2.35], [-33.9, 151.2], [90.0, -180.0]])
    expected = float64_location_encoder(params["location"], latlng)
    np.testing.assert_allclose(encoder(latlng), expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match=r"latlng row 1 is \(91.0, 0.0\)"):
        encoder(np.array([[0.0, 0.0], [91.0, 0.0]]))


def test_the_artefact_keeps_the_gallery(exported):
    folder, model, params = exported
    loaded = exported_model.load(folder)
    assert loaded.prepared["gallery"].shape == (128, 16)
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (8, 32, 32, 3)).astype(np.uint8)
    latlng, log_prob = loaded(image)
    prepared = model.system.prepare(params, {})
    # As exactly as float32 knows phases of so many cycles; docs/interop.md.
    np.testing.assert_allclose(loaded.prepared["gallery"], prepared["gallery"], atol=1e-5)
    answer = jax.jit(model.system.posterior)(params, loaded.prepared, {"image": image})
    np.testing.assert_array_equal(latlng, answer.latlng)
    np.testing.assert_array_equal(log_prob, answer.log_prob)
