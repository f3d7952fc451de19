import jax
import jax.numpy as jnp
import numpy as np
import pytest

from geosurge_jax.interop.families.segformer import FAMILY
from geosurge_jax.models.class_maps import canvas_size, class_maps, cut_map, map_size
from geosurge_jax.models.segformer import Segformer, SegformerConfig
from tests.parity.comparison import TOLERANCE, outputs
from tests.parity.oracle import thaw
from tests.parity.segmentation import load_frozen

# Its maps have odd sides, which the decoder brings to others; tests/interop/test_segmenter.py has even ones.
NAME = "segformer-odd"


def test_every_named_intermediate_equals_transformers():
    oracle = thaw(NAME)
    config, params = load_frozen(oracle)
    found = outputs(Segformer(config), params, {"image": jnp.asarray(oracle.inputs["image"])})
    compared = 0
    for path, expected in oracle.expected.items():
        if not path.startswith("map_"):
            ours = found["pooled" if path == "logits" else path]
            np.testing.assert_allclose(ours, expected, atol=TOLERANCE, err_msg=path)
            compared += 1
    assert compared == 10


def test_maps_are_those_of_the_library():
    oracle = thaw(NAME)
    logits = oracle.expected["logits"]
    expected = [oracle.expected[f"map_{number}"] for number in range(2)]
    sizes = [found.shape for found in expected]
    canvas = canvas_size(sizes, 21)
    found = np.asarray(class_maps(jnp.asarray(logits), jnp.asarray(sizes), canvas))
    assert found.shape == (2, *canvas) and canvas == (21, 40)
    for one, size, theirs in zip(found, sizes, expected, strict=True):
        np.testing.assert_array_equal(cut_map(one, size), theirs)


def resized(scores, height, width):
    """Bilinear by the definition, float64, a pixel at a time."""
    source, found = scores.shape[0], np.zeros((height, width, scores.shape[2]))
    for row in range(height):
        for column in range(width):
            y = min(max((row + 0.5) * source / height - 0.5, 0), source - 1)
            x = min(max((column + 0.5) * source / width - 0.5, 0), source - 1)
            top, left = int(y), int(x)
            bottom, right = min(top + 1, source - 1), min(left + 1, source - 1)
            down, across = y - top, x - left
            upper = scores[top, left] * (1 - across) + scores[top, right] * across
            lower = scores[bottom, left] * (1 - across) + scores[bottom, right] * across
            found[row, column] = upper * (1 - down) + lower * down
    return found


def test_maps_of_any_shape_share_a_canvas_and_a_program():
    scores = np.random.default_rng(0).normal(size=(4, 6, 6, 9)).astype(np.float32)
    sizes = [(8, 8), (8, 13), (14, 8), (3, 2)]
    canvas = canvas_size(sizes, 8)
    assert canvas == (8, 16)
    traced = []

    def counted(scores, sizes, canvas):
        traced.append(canvas)
        return class_maps(scores, sizes, canvas)

    run = jax.jit(counted, static_argnums=2)
    found = np.asarray(run(jnp.asarray(scores), jnp.asarray(sizes), canvas))
    other = [(8, 16), (2, 2), (16, 8), (8, 9)]
    run(jnp.asarray(scores), jnp.asarray(other), canvas_size(other, 8))
    assert traced == [canvas]
    for one, size, logits in zip(found, sizes, scores, strict=True):
        exact = resized(logits.astype(np.float64), *size)
        cut = cut_map(one, size)
        assert cut.shape == size and cut.dtype == np.uint8
        best = np.take_along_axis(exact, cut[..., None].astype(int), 2)[..., 0]
        np.testing.assert_allclose(best, exact.max(axis=2), atol=1e-5)


@pytest.mark.parametrize(
    ("photo", "expected"),
    [
        ((480, 640), (168, 224)),
        ((640, 480), (224, 168)),
        ((100, 150), (100, 150)),  # no larger than the photo
        ((1000, 333), (505, 168)),
        ((10, 5000), (10, 80)),  # eight times as long as wide and no more
        ((1, 1), (1, 1)),
    ],
)
def test_maps_keep_the_aspect_of_their_photo(photo, expected):
    assert map_size(*photo, 168) == expected


# Xie et al. 2021, table 1: millions of parameters with 150 classes; tests/parity compares all six.
@pytest.mark.parametrize(
    ("size", "millions"),
    [("B0", 3.8), ("B1", 13.7)],
)
def test_sizes_are_the_published_ones(size, millions):
    frozen = FAMILY.read(thaw(NAME).config, None)
    names = tuple(str(number) for number in range(150))
    config = SegformerConfig(size, names, frozen.preprocessing)
    image = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.uint8)
    shapes = jax.eval_shape(Segformer(config).init, jax.random.key(0), image)["params"]
    count = sum(leaf.size for leaf in jax.tree.leaves(shapes)) / 1e6
    assert count == pytest.approx(millions, abs=0.06), size
