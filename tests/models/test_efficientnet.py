import dataclasses

import pytest

from geosurge_jax.interop.families.efficientnet import FAMILY
from geosurge_jax.models.efficientnet_sizes import EFFICIENTNET_SIZES
from tests.parity.comparison import TOLERANCE, tower_errors
from tests.parity.oracle import thaw


@pytest.mark.parametrize("name", ["efficientnet-even", "efficientnet-odd"])
def test_every_intermediate_equals_transformers(name):
    differences = tower_errors(thaw(name))
    assert {"stem", "stage_2/block_00", "stage_1/block_00/squeeze", "top"} < differences.keys()
    assert max(differences.values()) < TOLERANCE, differences


# depthwise_padding of the published google/efficientnet-b0 to b7, at the sizes that they were trained for.
@pytest.mark.parametrize(
    ("size", "image_size", "published"),
    [
        ("B0", 224, ()),
        ("B1", 240, (16,)),
        ("B2", 260, (5, 8, 16)),
        ("B3", 300, (5, 18)),
        ("B4", 380, (6,)),
        ("B5", 456, (13, 27)),
        ("B6", 528, (31,)),
        ("B7", 600, (18,)),
    ],
)
def test_padding_by_the_side_of_the_map_is_the_published_list(size, image_size, published):
    assert EFFICIENTNET_SIZES[size].odd_strides(image_size) == published


def test_channels_are_scaled_as_published():
    # hidden_dim of google/efficientnet-b0 to b7.
    top = [EFFICIENTNET_SIZES[f"B{number}"].top for number in range(8)]
    assert top == [1280, 1280, 1408, 1536, 1792, 2048, 2304, 2560]
    # 12.8 is nearest to 16; 17.6 to 16, less than a tenth below; so is 19.2, but more than a tenth below.
    assert dataclasses.replace(EFFICIENTNET_SIZES["B0"], width=0.4).stem == 16
    assert dataclasses.replace(EFFICIENTNET_SIZES["B0"], width=1.1).channels(16) == 16
    assert dataclasses.replace(EFFICIENTNET_SIZES["B0"], width=0.6).stem == 24


def test_flops_of_a_small_tower_are_those_counted_by_hand():
    oracle = thaw("efficientnet-even")
    config = FAMILY.read(oracle.config, oracle.preprocessor)
    # 36 pixels: maps of 18, 18, 9 and 5; 8 channels squeezed to 2.
    stem = 18 * 18 * 9 * 3 * 8
    first = 18 * 18 * (9 * 8 + 8 * 8) + 2 * 8 * 2
    opening = 18 * 18 * 8 * 16 + 81 * (9 * 16 + 16 * 8) + 2 * 16 * 2
    second = opening + 81 * (8 * 16 + 9 * 16 + 16 * 8) + 2 * 16 * 2
    third = 81 * 8 * 32 + 25 * (25 * 32 + 32 * 16) + 2 * 32 * 2
    top = 25 * 16 * 32
    assert config.flops == (0, 2 * (stem + first + second + third + top))
    last = dataclasses.replace(config, trained_stages=1)
    assert last.flops == (2 * (stem + first + second), 2 * (third + top))
