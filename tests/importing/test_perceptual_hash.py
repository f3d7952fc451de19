import io

import numpy as np
import pytest
from PIL import Image

from geosurge_jax.importing import perceptual_hash as room
from geosurge_jax.importing.perceptual_hash import near_pairs, perceptual_hash


def photo(seed, side=(120, 160)):
    """A smooth picture, as photos are."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (7, 9, 3)).astype(np.uint8))
    return np.array(coarse.resize(side[::-1], Image.Resampling.BICUBIC))


def bits(one, other):
    return (one ^ other).bit_count()


def test_bits_are_those_of_the_cosine_transform():
    pixels = photo(0, (32, 32))
    grey = np.asarray(Image.fromarray(pixels).convert("L"), np.float64)
    n = np.arange(32)
    expected = [
        float(
            np.sum(
                grey
                * np.cos(np.pi * u * (2 * n + 1) / 64)[:, None]
                * np.cos(np.pi * v * (2 * n + 1) / 64)[None]
            )
        )
        for u in range(8)
        for v in range(8)
    ]
    median = np.median(expected[1:])
    word = "".join("1" if value > median else "0" for value in expected)
    assert perceptual_hash(pixels) == int(word, 2)


@pytest.mark.parametrize("seed", range(5))
def test_copies_are_near_and_others_far(seed):
    pixels = photo(seed)
    file = io.BytesIO()
    smaller = Image.fromarray(pixels).resize((80, 60), Image.Resampling.LANCZOS)
    smaller.save(file, format="JPEG", quality=40)
    copied = np.array(Image.open(file))
    brighter = np.clip(pixels.astype(int) * 1.1 + 8, 0, 255).astype(np.uint8)
    own, other = perceptual_hash(pixels), perceptual_hash(photo(seed + 100))
    assert own is not None and other is not None
    for copy in (copied, brighter):
        found = perceptual_hash(copy)
        assert found is not None and bits(own, found) <= 4
    assert bits(own, other) > 12


def test_a_flat_picture_has_no_hash():
    assert perceptual_hash(np.full((50, 60, 3), 130, np.uint8)) is None


@pytest.mark.parametrize("most", [0, 1, 4, 8])
@pytest.mark.parametrize("at_a_time", [7, 10**6])
def test_pairs_are_all_of_them(most, at_a_time, monkeypatch):
    monkeypatch.setattr(room, "_PAIRS_AT_A_TIME", at_a_time)
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, 300, dtype=np.uint64)
    queries = hashes[rng.integers(0, 300, 80)].copy()
    for index in range(len(queries)):
        for bit in rng.choice(64, index % 11, replace=False):
            queries[index] ^= np.uint64(1) << np.uint64(bit)
    expected = [
        (q, h)
        for q, one in enumerate(queries.tolist())
        for h, other in enumerate(hashes.tolist())
        if (one ^ other).bit_count() <= most
    ]
    assert (
        len(expected) >= 7
        and list(zip(*near_pairs(queries, hashes, most), strict=True)) == expected
    )


@pytest.mark.parametrize("most", range(9))
def test_pairs_are_found_wherever_their_bits_differ(most):
    rng = np.random.default_rng(most)
    hashes = rng.integers(0, 2**64, 400, dtype=np.uint64)
    queries = np.repeat(hashes, 2)
    for index in range(len(queries)):
        for bit in rng.choice(64, most + index % 2, replace=False):
            queries[index] ^= np.uint64(1) << np.uint64(bit)
    found, partner = near_pairs(queries, hashes, most)
    # Two random ones of these are never so near.
    np.testing.assert_array_equal(found, np.arange(0, 800, 2))
    np.testing.assert_array_equal(partner, np.arange(400))


def test_very_many_of_one_hash(monkeypatch):
    monkeypatch.setattr(room, "_PAIRS_AT_A_TIME", 50)
    hashes = np.full(300, 2**63 + 9, np.uint64)
    hashes[7] = 5
    query, partner = near_pairs(hashes[:20], hashes, 1)
    assert len(query) == 19 * 299 + 1
    np.testing.assert_array_equal(partner[query == 7], [7])
    np.testing.assert_array_equal(partner[query == 8], np.delete(np.arange(300), 7))


def test_no_pairs_and_wrong_distances():
    none = np.array([], np.uint64)
    assert [len(found) for found in near_pairs(none, none, 3)] == [0, 0]
    with pytest.raises(ValueError, match="9 differing bits, expected 0 to 8"):
        near_pairs(none, none, 9)
