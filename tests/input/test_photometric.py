import numpy as np
import pytest

from geosurge_jax.input.photometric import apply_colour, colour_transform, mean_colour

OFF = dict(brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0, grayscale=0.0)
LUMA = np.array([0.299, 0.587, 0.114])
PIXELS = np.random.default_rng(3).integers(60, 190, (20, 30, 3), np.uint8)


def draw(seed: int = 0, **strengths: float) -> tuple[np.ndarray, np.ndarray]:
    mean = PIXELS.mean(axis=(0, 1))
    return colour_transform(np.random.default_rng(seed), mean, **{**OFF, **strengths})


def test_no_strength_changes_nothing():
    matrix, offset = draw()
    np.testing.assert_allclose(matrix, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(offset, 0, atol=1e-12)
    np.testing.assert_array_equal(apply_colour(PIXELS, matrix, offset), PIXELS)


def test_brightness_scales_within_its_strength():
    factors = [draw(seed, brightness=0.3)[0] for seed in range(200)]
    diagonal = np.array([matrix[0, 0] for matrix in factors])
    np.testing.assert_allclose(factors, diagonal[:, None, None] * np.eye(3), atol=1e-12)
    assert 0.7 <= diagonal.min() < 0.72 and 1.28 < diagonal.max() <= 1.3


def test_contrast_keeps_the_mean_luma():
    for seed in range(5):
        matrix, offset = draw(seed, contrast=0.5)
        changed = PIXELS @ matrix.T + offset
        assert abs(matrix[0, 0] - 1) > 0.01
        np.testing.assert_allclose((changed @ LUMA).mean(), (PIXELS @ LUMA).mean())
        np.testing.assert_allclose(
            (changed @ LUMA).std(), matrix[0, 0] * (PIXELS @ LUMA).std(), rtol=1e-6
        )


def test_contrast_is_taken_about_the_mean_after_brightness():
    matrix, offset = draw(1, contrast=0.5, brightness=0.3)
    brightness = draw(1, brightness=0.3)[0][0, 0]
    changed = PIXELS @ matrix.T + offset
    assert abs(brightness - 1) > 0.001
    np.testing.assert_allclose((changed @ LUMA).mean(), brightness * (PIXELS @ LUMA).mean())


@pytest.mark.parametrize("strength", ["saturation", "hue"])
def test_saturation_and_hue_keep_luma_and_gray(strength):
    for seed in range(5):
        matrix, offset = draw(seed, **{strength: 0.4})
        assert np.abs(matrix - np.eye(3)).max() > 0.01
        np.testing.assert_allclose((PIXELS @ matrix.T + offset) @ LUMA, PIXELS @ LUMA, rtol=1e-9)
        np.testing.assert_allclose(matrix @ [80, 80, 80] + offset, 80, rtol=1e-9)


def test_a_hue_turn_changes_the_angle_of_the_colour_by_as_much():
    """Angles in the IQ plane of YIQ, computed with the textbook coefficients."""
    plane = np.array([[0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
    turns = []
    for seed in range(100):
        matrix, _ = draw(seed, hue=0.25)
        before, after = plane @ [200, 90, 40], plane @ matrix @ [200, 90, 40]
        turns.append((np.arctan2(*after[::-1]) - np.arctan2(*before[::-1])) / (2 * np.pi))
        np.testing.assert_allclose(np.linalg.norm(after), np.linalg.norm(before))
    assert -0.25 <= min(turns) < -0.23 and 0.23 < max(turns) <= 0.25


def test_gray_comes_with_its_probability():
    gray = [np.allclose(draw(seed, grayscale=0.3)[0], np.tile(LUMA, (3, 1))) for seed in range(300)]
    assert 0.2 < np.mean(gray) < 0.4


def test_as_many_numbers_are_drawn_whatever_the_strengths():
    after = []
    for strengths in (OFF, dict.fromkeys(OFF, 0.5)):
        generator = np.random.default_rng(5)
        colour_transform(generator, np.zeros(3), **strengths)
        after.append(generator.random())
    assert after[0] == after[1]


def test_colours_are_rounded_and_clipped():
    matrix, offset = np.array([[2.0, 0.3, 0], [0, 1, -1], [0.1, 0, 0.5]]), np.array([-90, 3, 0.25])
    exact = np.clip(PIXELS.astype(np.float64) @ matrix.T + offset, 0, 255)
    changed = apply_colour(PIXELS, matrix, offset)
    assert changed.dtype == np.uint8
    assert (changed == 255).any() and (changed == 0).any()
    assert np.abs(changed - exact).max() <= 0.51


def test_mean_colour():
    np.testing.assert_allclose(mean_colour(PIXELS), PIXELS.mean(axis=(0, 1)), atol=0.51)
