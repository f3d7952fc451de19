import numpy as np
import pytest

from geosurge_jax.input.geometry import Box, centre_crop, evaluation_crops, random_resized_crop


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


def test_centre_crop_is_resize_then_crop():
    """256 / 224 of a photo 300 high, 400 wide: short side to 256, then 224 from the middle."""
    width = 400 * 256 / 300
    expected = ((width - 224) / 2 / width, 16 / 256, (width + 224) / 2 / width, 240 / 256)
    np.testing.assert_allclose(centre_crop(300, 400, 256 / 224), expected)


def test_five_crops_are_four_corners_and_the_centre():
    width = 400 * 256 / 300
    a, b = 224 / width, 224 / 256
    expected = [
        (0, 0, a, b),
        (1 - a, 0, 1, b),
        (0, 1 - b, a, 1),
        (1 - a, 1 - b, 1, 1),
        tuple(centre_crop(300, 400, 256 / 224)),
    ]
    boxes = evaluation_crops(300, 400, 5, 256 / 224)
    np.testing.assert_allclose(np.array([box for box, _ in boxes]), expected)
    assert not any(mirrored for _, mirrored in boxes)


def test_ten_crops_are_the_five_and_the_five_mirrored():
    ten = evaluation_crops(300, 400, 10, 1.2)
    assert [box for box, _ in ten[:5]] == [box for box, _ in ten[5:]]
    assert [mirrored for _, mirrored in ten] == [False] * 5 + [True] * 5
    assert evaluation_crops(300, 400, 1, 1.2) == [ten[4]]


def test_one_crop_without_margin_of_a_square_is_everything():
    assert evaluation_crops(64, 64, 1, 1.0) == [(Box(0.0, 0.0, 1.0, 1.0), False)]


@pytest.mark.parametrize(("crops", "ratio"), [(3, 1.2), (0, 1.2), (5, 0.9), (5, float("nan"))])
def test_unknown_protocols_are_refused(crops, ratio):
    with pytest.raises(ValueError, match="config.eval"):
        evaluation_crops(10, 10, crops, ratio)
