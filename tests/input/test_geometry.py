import numpy as np
import pytest

from geosurge_jax.input.geometry import Framing, evaluation_crops, random_resized_crop


def test_random_crops_have_the_wanted_area_and_ratio():
    generator = np.random.default_rng(1)
    areas, ratios = [], []
    for _ in range(500):
        box = random_resized_crop(generator, 400, 600, (0.1, 0.3), (0.5, 2.0))
        assert 0 <= box.left < box.right <= 1 + 1e-12 and 0 <= box.top < box.bottom <= 1 + 1e-12
        across, down = box.right - box.left, box.bottom - box.top
        areas.append(across * down)
        ratios.append(across * 600 / (down * 400))
    assert 0.1 <= min(areas) < 0.105 and 0.295 < max(areas) <= 0.3 + 1e-12
    assert 0.5 <= min(ratios) < 0.53 and 1.9 < max(ratios) <= 2 + 1e-12
    assert abs(np.mean(np.log(ratios))) < 0.06  # log-uniform: wide as often as tall


def test_a_crop_that_never_fits_becomes_the_largest_centre_one():
    box = random_resized_crop(np.random.default_rng(0), 10, 1000, (1.0, 1.0), (3 / 4, 4 / 3))
    np.testing.assert_allclose(box, (0.5 - 1 / 150, 0, 0.5 + 1 / 150, 1))
    box = random_resized_crop(np.random.default_rng(0), 1000, 10, (1.0, 1.0), (3 / 4, 4 / 3))
    np.testing.assert_allclose(box, (0, 0.5 - 1 / 150, 1, 0.5 + 1 / 150))


def test_as_many_numbers_are_drawn_whatever_the_photo():
    after = []
    for height, width in ((300, 400), (10, 1000)):
        generator = np.random.default_rng(7)
        random_resized_crop(generator, height, width, (0.9, 1.0), (3 / 4, 4 / 3))
        after.append(generator.random())
    assert after[0] == after[1]


@pytest.mark.parametrize(
    ("framing", "expected"),
    [
        (Framing(224, "short", 256 / 224), (256, 342)),  # 342.19 rounded down
        (Framing(224, "short", 1.0), (224, 299)),
        (Framing(224, "stretch", 1.0), (224, 224)),
        (Framing(224, "stretch", 256 / 224), (256, 256)),
    ],
)
def test_photos_are_resized_by_their_short_side_or_stretched(framing, expected):
    assert framing.resized(300, 401) == expected
    assert framing.resized(401, 300) == expected[::-1]


def test_five_crops_are_four_corners_and_the_centre():
    expected = [(0, 0), (0, 118), (32, 0), (32, 118), (16, 59)]
    assert evaluation_crops(256, 342, 5, 224) == [(top, left, False) for top, left in expected]


def test_ten_crops_are_the_five_and_the_five_mirrored():
    ten = evaluation_crops(256, 342, 10, 224)
    assert ten[:5] == evaluation_crops(256, 342, 5, 224)
    assert ten[5:] == [(top, left, True) for top, left, _ in ten[:5]]
    assert evaluation_crops(256, 342, 1, 224) == [ten[4]]


@pytest.mark.parametrize("crops", [3, 0])
def test_unknown_protocols_are_refused(crops):
    with pytest.raises(ValueError, match="config.evaluation.crops"):
        evaluation_crops(10, 10, crops, 8)
