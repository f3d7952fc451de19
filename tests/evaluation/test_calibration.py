"""Calibration against a float64 NumPy twin, and against posteriors whose calibration is known."""

import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from geosurge_jax.evaluation.calibration import (
    BINS,
    EARTH_AREA_KM2,
    EqualAreaGrid,
    PhotoCalibration,
    calibrate,
    collect,
    grid_masses,
    summarize_calibration,
)
from geosurge_jax.evaluation.reliability import draw_reliability
from geosurge_jax.systems.posterior import Posterior

GRID = EqualAreaGrid(12, 24)
# Each as one program: operation by operation they would be compiled some ten times.
masses_of = jax.jit(lambda posterior: grid_masses(posterior, GRID))
calibrated_by = jax.jit(lambda masses, cells, floor: calibrate(masses, cells, GRID, floor))


def test_the_cells_of_the_grid_are_equal_in_area():
    """Points uniform over the sphere fall into all cells equally often, on the host and on the device."""
    directions = np.random.default_rng(0).normal(size=(144_000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    latlng = np.degrees(
        [np.arcsin(directions[:, 2]), np.arctan2(directions[:, 1], directions[:, 0])]
    ).T
    cell = GRID.assign(latlng)
    counts = np.bincount(cell, minlength=GRID.cells)
    assert counts.shape == (288,) and abs(counts - 500).max() < 5 * np.sqrt(500)
    on_device = np.asarray(GRID.assign_on_device(jnp.asarray(latlng, jnp.float32)))
    assert np.mean(on_device != cell) < 1e-4  # those within float32's reach of an edge
    assert GRID.cell_km2 * 288 == pytest.approx(510_064_472, rel=1e-6) == EARTH_AREA_KM2


@pytest.mark.parametrize(
    ("latlng", "cell"),
    [
        ((-90, -180), 0),
        ((90, 179.9), 287),
        ((90, 180), 264),
        ((0.1, 0.1), 156),
        ((-0.1, -0.1), 131),
    ],
)
def test_poles_and_the_antimeridian_have_cells(latlng, cell):
    assert GRID.assign(np.array([latlng], np.float64)) == [cell]
    assert int(GRID.assign_on_device(jnp.asarray(latlng, jnp.float32))) == cell


@pytest.fixture(scope="module")
def answers():
    """Forty photos over supports of their own, some points together in a cell; truths near the first."""
    rng = np.random.default_rng(1)
    latlng = rng.uniform([-89, -180], [89, 180], (40, 30, 2)).astype(np.float32)
    latlng[:, 1] = latlng[:, 0]
    probability = rng.dirichlet(np.full(30, 0.3), 40)
    truth = np.where(rng.random(40)[:, None] < 0.6, latlng[:, 0], [10.0, 20.0]).astype(np.float64)
    log_prob = jnp.asarray(np.log(np.maximum(probability, 1e-30)), jnp.float32)
    return Posterior(jnp.asarray(latlng), log_prob), truth


def by_numpy(posterior, truth, floor):
    """Each photo on its own, in float64, with cells held in a dictionary."""
    rows = []
    for latlng, log_prob, place in zip(
        np.asarray(posterior.latlng, np.float64),
        np.asarray(posterior.log_prob, np.float64),
        truth,
        strict=True,
    ):
        masses = {}
        for (lat, lng), mass in zip(latlng, np.exp(log_prob), strict=True):
            key = (int((np.sin(np.radians(lat)) + 1) * 6), int((lng + 180) / 15))
            masses[key] = masses.get(key, 0.0) + mass
        own = (int((np.sin(np.radians(place[0])) + 1) * 6), int((place[1] + 180) / 15))
        of_truth = masses.get(own, 0.0)
        density = ((1 - floor) * of_truth + floor / 288) * 288
        descending = sorted(masses.values(), reverse=True)
        needed = [1 + sum(np.cumsum(descending) < level) for level in (0.5, 0.9)]
        rows.append(
            (
                np.log(density),
                descending[0],
                float(of_truth == descending[0]),
                sum(mass for mass in descending if mass > of_truth),
                *(count * EARTH_AREA_KM2 / 288 for count in needed),
            )
        )
    return np.array(rows).T


def test_photos_are_those_of_a_numpy_twin(answers):
    posterior, truth = answers
    found = calibrated_by(masses_of(posterior), jnp.asarray(GRID.assign(truth)), 0.01)
    expected = by_numpy(posterior, truth, 0.01)
    for value, wanted in zip(jax.tree.leaves(found), expected, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=2e-5, atol=2e-6)
    assert 0 < expected[2].sum() < 40


def test_a_shared_support_is_the_same_as_each_photo_with_a_copy(answers):
    posterior, truth = answers
    shared = Posterior(posterior.latlng[0], posterior.log_prob)
    copies = Posterior(jnp.broadcast_to(posterior.latlng[:1], (40, 30, 2)), posterior.log_prob)
    np.testing.assert_allclose(masses_of(shared), masses_of(copies), atol=1e-7)
    cells = jnp.asarray(GRID.assign(truth))
    one = masses_of(shared)[3]
    for value, wanted in zip(
        jax.tree.leaves(calibrated_by(one, cells, 0.01)),
        jax.tree.leaves(calibrated_by(jnp.tile(one[None], (40, 1)), cells, 0.01)),
        strict=True,
    ):
        np.testing.assert_allclose(value, wanted, rtol=1e-6)


def drawn(sharpen, photos=6000):
    """Truths drawn from known masses; what is claimed is those masses to a power, normalised."""
    rng = np.random.default_rng(3)
    logits = rng.normal(size=(photos, GRID.cells)) * rng.uniform(1, 6, (photos, 1))
    true = np.exp(logits - logits.max(axis=1, keepdims=True))
    true /= true.sum(axis=1, keepdims=True)
    cumulated = np.cumsum(true, axis=1)
    cells = np.minimum((rng.random((photos, 1)) > cumulated).sum(axis=1), GRID.cells - 1)
    claimed = true**sharpen
    claimed /= claimed.sum(axis=1, keepdims=True)
    masses = jnp.asarray(claimed, jnp.float32)
    calibration = calibrated_by(masses, jnp.asarray(cells, jnp.int32), 1e-6)
    of_truth = np.take_along_axis(claimed, cells[:, None], axis=1)[:, 0]
    return summarize_calibration(jax.device_get(calibration), GRID, 1e-6, 200, 0), of_truth


def test_a_calibrated_posterior_is_found_calibrated_and_a_boastful_one_is_not():
    calibrated, of_truth = drawn(1.0)
    assert calibrated.calibration_error < 0.02
    assert calibrated.coverage_90 == pytest.approx(0.9, abs=0.02)
    # The cell in which half the mass is reached is whole, so half is covered and a little more.
    assert 0.49 < calibrated.coverage_50 < 0.75
    estimate = calibrated.log_likelihood
    assert estimate.value == pytest.approx(np.log(of_truth * 288).mean(), abs=1e-3)
    assert estimate.low is not None and estimate.low < estimate.value < estimate.high
    boastful, _ = drawn(3.0)
    assert boastful.calibration_error > 0.1 and boastful.coverage_90 < 0.8
    assert boastful.log_likelihood.value < estimate.value
    assert boastful.area_90_km2 < calibrated.area_90_km2
    shy, _ = drawn(0.4)
    assert shy.coverage_90 > 0.94 and shy.calibration_error > 0.1


def photo(**values):
    fields = dict.fromkeys(PhotoCalibration.__dataclass_fields__, np.zeros(4, np.float32))
    return PhotoCalibration(**{**fields, **values})


def test_the_calibration_error_is_its_formula():
    """Thirty photos, so two in each of fifteen bins."""
    confidence = np.linspace(0.1, 0.9, 30).astype(np.float32)
    hit = np.random.default_rng(0).integers(0, 2, 30).astype(np.float32)
    order = np.random.default_rng(1).permutation(30)
    photos = photo(top_mass=confidence[order], top_hit=hit[order])
    photos = photos.replace(
        **{
            name: np.ones(30, np.float32)
            for name in ("log_likelihood", "mass_above", "area_50_km2", "area_90_km2")
        }
    )
    summary = summarize_calibration(photos, GRID, 0.01, 0, 0)
    gaps = np.abs(confidence.reshape(15, 2).mean(1) - hit.reshape(15, 2).mean(1))
    assert summary.calibration_error == pytest.approx(gaps.mean(), rel=1e-5)
    assert len(summary.bins) == BINS and sum(each.count for each in summary.bins) == 30
    assert summary.log_likelihood.low is None and summary.coverage_90 == 0.0


def test_batches_come_together_by_index_without_padding():
    first = photo(top_mass=np.array([0.4, 0.1, 9, 0.3], np.float32))
    second = photo(top_mass=np.array([0.2, 9, 0.0, 9], np.float32))
    merged = collect(
        [
            (np.array([4, 1, -1, 3]), np.array([1, 1, 0, 1]), first),
            (np.array([2, -1, 0, 7]), np.array([1.0, 0, 1, 0]), second),
        ]
    )
    np.testing.assert_allclose(merged.top_mass, [0.0, 0.1, 0.2, 0.3, 0.4])
    assert len(collect([]).top_mass) == 0
    with pytest.raises(ValueError, match="no photo was scored"):
        summarize_calibration(collect([]), GRID, 0.01, 0, 0)


def test_the_diagram_shows_each_data_set():
    calibrated, boastful = drawn(1.0, 600)[0], drawn(3.0, 600)[0]

    def pixels(summaries):
        return np.asarray(Image.open(io.BytesIO(draw_reliability(summaries))).convert("RGB"))

    one, two = pixels({"a": calibrated}), pixels({"a": calibrated, "b": boastful})
    orange = np.all(two == (0xD5, 0x5E, 0x00), axis=-1)
    assert orange.sum() > 500 and not np.any(np.all(one == (0xD5, 0x5E, 0x00), axis=-1))
    with pytest.raises(ValueError, match="no calibration"):
        draw_reliability({})
