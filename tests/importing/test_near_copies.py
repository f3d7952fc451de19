import numpy as np
import pytest

from geosurge_jax.importing.near_copies import (
    Fingerprints,
    find_copies,
    merged_groups,
    near_copies_csv,
    split_groups,
)


def connected(pairs, count):
    """Sets of connected numbers below `count`, by plain search."""
    neighbours = {node: {node} for node in range(count)}
    for one, other in pairs:
        neighbours[one].add(other)
        neighbours[other].add(one)
    found, seen = set(), set()
    for start in range(count):
        if start in seen:
            continue
        group, waiting = set(), [start]
        while waiting:
            node = waiting.pop()
            if node not in group:
                group.add(node)
                waiting += neighbours[node]
        seen |= group
        found.add(frozenset(group))
    return found


def groups_of(numbers):
    return {frozenset(np.flatnonzero(numbers == number).tolist()) for number in np.unique(numbers)}


def images(seed, count=120):
    """Hashes in chains: each differs from an earlier one in 0 to 8 bits; some images have none."""
    rng = np.random.default_rng(seed)
    hashes = [int(rng.integers(0, 2**63))]
    while len(hashes) < count:
        base = hashes[rng.integers(len(hashes))] if rng.random() < 0.5 else rng.integers(0, 2**63)
        flips = rng.choice(64, rng.integers(0, 9), replace=False)
        hashes.append(int(base) ^ sum(1 << int(bit) for bit in flips))
    content = rng.integers(0, 2 * count, count).astype(np.uint64)
    return Fingerprints(content, np.array(hashes, np.uint64), rng.random(count) < 0.8)


@pytest.mark.parametrize("bits", [0, 2, 4, 6])
def test_copies_equal_a_search_over_all_pairs(bits):
    given = images(bits)
    hashes, count = given.perceptual.tolist(), len(given.content)
    pairs = [
        (i, j)
        for i in range(count)
        for j in range(i)
        if given.content[i] == given.content[j]
        or (given.hashed[i] and given.hashed[j] and (hashes[i] ^ hashes[j]).bit_count() <= bits)
    ]
    copies = find_copies(given, bits)
    expected = connected(pairs, count)
    assert groups_of(copies.group) == expected
    assert any(len(group) > 2 for group in expected)
    np.testing.assert_array_equal(copies.copied, copies.sizes[copies.group] > 1)


def test_groups_of_authors_are_joined_through_copies():
    given = images(9)
    copies = find_copies(given, 4)
    rng = np.random.default_rng(1)
    authors = rng.integers(0, 2**64, 40, np.uint64)[rng.integers(0, 40, len(given.content))]
    count = len(authors)
    pairs = [
        (i, j)
        for i in range(count)
        for j in range(i)
        if authors[i] == authors[j] or copies.group[i] == copies.group[j]
    ]
    merged = merged_groups(authors, copies)
    assert groups_of(merged) == connected(pairs, count)
    assert all(merged[i] == authors[merged == merged[i]].min() for i in range(count))


def test_images_that_are_alike_still_fill_the_splits(caplog):
    """Hashes in a chain of one bit each: one group at one bit, single images at none."""
    hashes = np.array([(1 << n) - 1 for n in range(6)], np.uint64)
    content = np.array([0, 1, 2, 3, 4, 4], np.uint64)
    given = Fingerprints(content, hashes, np.ones(6, bool))
    authors = np.arange(10, 16, dtype=np.uint64)
    merged, copies = split_groups(authors, given, 4, 3)
    assert copies.bits == 0 and groups_of(merged) == {frozenset([n]) for n in range(4)} | {
        frozenset([4, 5])
    }
    assert "too few groups for 3 splits" in caplog.text
    caplog.clear()
    merged, copies = split_groups(authors, given, 4, 1)
    assert copies.bits == 4 and len(groups_of(merged)) == 1 and not caplog.text
    merged, copies = split_groups(authors, given, 4, 6)
    assert copies.bits is None and len(groups_of(merged)) == 5


def test_images_without_copies_keep_their_groups():
    given = Fingerprints(np.arange(5, dtype=np.uint64), np.zeros(5, np.uint64), np.zeros(5, bool))
    copies = find_copies(given, 4)
    authors = np.array([7, 7, 3, 2**63, 1], np.uint64)
    np.testing.assert_array_equal(merged_groups(authors, copies), authors)
    assert near_copies_csv("abcde", copies) == b"group,id\n"
    assert (
        copies.sentence() == "no identical or near-identical images (at most 4 of 64 bits differ)"
    )


def test_the_table_of_copies_neutralizes_formulas():
    given = Fingerprints(np.array([1, 2, 1], np.uint64), np.zeros(3, np.uint64), np.zeros(3, bool))
    copies = find_copies(given, 4)
    assert near_copies_csv(["z", "b", "=a"], copies) == b"group,id\n0,'=a\n0,z\n"
    assert copies.sentence().startswith("2 images have identical or near-identical copies, in 1")


def test_no_images():
    nothing = Fingerprints(*(np.zeros(0, kind) for kind in (np.uint64, np.uint64, bool)))
    copies = find_copies(nothing, 4)
    assert len(copies.group) == 0
    assert len(merged_groups(np.zeros(0, np.uint64), copies)) == 0


def test_bits_out_of_range():
    with pytest.raises(ValueError, match="9 differing bits, expected 0 to 8"):
        find_copies(images(0), 9)
