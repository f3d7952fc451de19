import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from geosurge_jax.evaluation.sample_sheet import Sample, class_shares, draw_samples
from geosurge_jax.models.palette import class_colours

CLASSES = tuple(f"class {number}" for number in range(40))


def sample(class_map, side=(30, 40)):
    return Sample(np.full((*side, 3), 255, np.uint8), np.array(class_map, np.uint8), "somewhere")


def drawn(samples, monkeypatch):
    """The picture, and the texts of its legend."""
    figures = []
    made = Figure.__init__

    def remembered(figure, *arguments, **named):
        figures.append(figure)
        made(figure, *arguments, **named)

    monkeypatch.setattr(Figure, "__init__", remembered)
    png = draw_samples(samples, class_colours(len(CLASSES)), CLASSES)
    with Image.open(io.BytesIO(png)) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    (legend,) = [axes.get_legend() for axes in figures[0].axes if axes.get_legend()]
    return pixels, [text.get_text() for text in legend.get_texts()]


def test_each_map_weighs_the_same_whatever_its_size():
    shares = class_shares([np.array([[3, 3], [7, 255]], np.uint8), np.full((9, 9), 7, np.uint8)])
    expected = np.zeros(256)
    expected[[3, 7, 255]] = 0.25, 0.625, 0.125
    np.testing.assert_array_equal(shares, expected)


def test_the_legend_names_what_the_maps_hold(monkeypatch):
    speck = np.full((60, 60), 7)
    speck[0, 0] = 2
    samples = [sample(np.full((4, 4), 3)), sample([[255, 7], [7, 7]]), sample(speck)]
    pixels, texts = drawn(samples, monkeypatch)
    assert texts == ["class 7, 58.3%", "class 3, 33.3%", "unknown, 8.3%", "class 2, < 0.1%"]
    colours = class_colours(len(CLASSES))
    # The last class is one pixel of one map, so next to all of its colour is in the legend.
    for colour in (colours[2], colours[7], np.array([200, 200, 200])):
        painted = np.argwhere(np.all(pixels == colour, axis=-1))
        assert len(painted) > 100 and painted[:, 0].max() > 0.75 * len(pixels)


@pytest.mark.parametrize("held", [24, 27])
def test_a_long_legend_ends_with_the_others(held, monkeypatch):
    pixels = np.arange(held) + 20
    _, texts = drawn([sample(np.repeat(np.arange(held), pixels)[None])], monkeypatch)
    named = [f"class {held - 1 - k}, {(held + 19 - k) / pixels.sum():.1%}" for k in range(24)]
    assert texts[:24] == named
    assert texts[24:] == ([f"3 others, {(20 + 21 + 22) / pixels.sum():.1%}"] if held == 27 else [])
