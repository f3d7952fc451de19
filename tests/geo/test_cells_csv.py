"""The family's cells CSV: clean, with preamble, and damaged by a spreadsheet."""

import csv
import pathlib

import numpy as np
import pytest

from geosurge_jax import geo
from geosurge_jax.geo import s2

SHARED = pathlib.Path(__file__).resolve().parents[2].parent / "shared" / "benchmarks"
HEADER = "class_label,hex_id,imgs_per_cell,latitude_mean,longitude_mean"

needs_published_files = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the published cell files are not beside this checkout"
)


@pytest.fixture(scope="module")
def partition():
    rng = np.random.default_rng(0)
    places = rng.uniform([-60, -180], [70, 180], (300, 2))
    latlng = places[rng.integers(0, 300, 60_000)] + rng.normal(size=(60_000, 2)) * 0.3
    return geo.build_partition(np.clip(latlng, [-90, -180], [90, 180]), 40, 3)


def as_spreadsheet(token):
    """What a spreadsheet makes of a token: text that reads as a number comes out as that number."""
    try:
        number = float(token)
    except ValueError:
        return token
    if number >= 1e308:
        return token
    if number >= 1e11 and "e" in token:
        mantissa, exponent = f"{number:.14E}".split("E+")
        return f"{mantissa.rstrip('0').rstrip('.')}E+{int(exponent):03d}"
    return str(int(number))


def rewrite_tokens(path, change):
    with open(path, newline="") as file:
        rows = list(csv.reader(file))
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(rows[0])
        writer.writerows([label, change(token), *rest] for label, token, *rest in rows[1:])


def assert_equal(ours, theirs):
    np.testing.assert_array_equal(ours.ids, theirs.ids)
    np.testing.assert_array_equal(ours.counts, theirs.counts)
    np.testing.assert_array_equal(ours.latlng, theirs.latlng)


@pytest.mark.parametrize("preamble", [False, True])
def test_round_trip(tmp_path, partition, preamble):
    path = tmp_path / "cells.csv"
    geo.export_partition_csv(path, partition, preamble)
    lines = path.read_text().splitlines()
    assert lines[2 if preamble else 0] == HEADER
    assert len(lines) == len(partition) + (3 if preamble else 1)
    if preamble:
        assert lines[0] == f"num_images,{partition.counts.sum()}"
        assert lines[1].startswith("min_concept_probability,")
    assert_equal(geo.import_partition_csv(path), partition)


def test_any_order_of_rows_and_columns_gives_s2_order(tmp_path, partition):
    path = tmp_path / "cells.csv"
    geo.export_partition_csv(path, partition)
    with open(path, newline="") as file:
        rows = [list(reversed(row[1:])) for row in csv.reader(file)]
    body = np.random.default_rng(3).permutation(np.array(rows[1:])).tolist()
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows(
            [
                [label, *row]
                for label, row in zip(
                    ["class_label", *range(len(body))], [rows[0], *body], strict=True
                )
            ]
        )
    assert_equal(geo.import_partition_csv(path), partition)


def test_a_spreadsheet_s_damage_is_refused_by_row_and_repaired(tmp_path, partition):
    path = tmp_path / "damaged.csv"
    geo.export_partition_csv(path, partition)
    tokens = geo.cell_tokens(partition.ids)
    damaged = [row for row, token in enumerate(tokens) if as_spreadsheet(token) != token]
    kinds = [as_spreadsheet(tokens[row]) for row in damaged]
    assert any("E+" in kind for kind in kinds) and any(tokens[row][0] == "0" for row in damaged)
    rewrite_tokens(path, as_spreadsheet)
    first = f"line {damaged[0] + 2} '{kinds[0]}'"
    with pytest.raises(ValueError, match="damaged.csv") as error:
        geo.import_partition_csv(path)
    assert f"{len(damaged)} of {len(partition)} hex_id" in str(error.value)
    assert first in str(error.value)
    assert "repair=True" in str(error.value) and "\n" not in str(error.value)
    assert_equal(geo.import_partition_csv(path, repair=True), partition)


def test_an_erased_token_becomes_the_coarsest_cell_that_overlaps_no_other(tmp_path, partition):
    """Beside a sibling, one level only is as coarse as it can be without an overlap."""
    path = tmp_path / "erased.csv"
    levels = geo.cell_levels(partition.ids)
    parents = np.array(
        [
            geo.parent_ids(partition.ids[row : row + 1], level - 1)[0]
            for row, level in enumerate(levels)
        ]
    )
    row = int(np.flatnonzero(parents[1:] == parents[:-1])[0])
    erased = geo.cell_tokens(partition.ids)[row]
    geo.export_partition_csv(path, partition)
    rewrite_tokens(path, lambda token: "#####" if token == erased else token)
    with pytest.raises(ValueError, match=f"1 of {len(partition)} .*line {row + 2} '#####'"):
        geo.import_partition_csv(path)
    assert_equal(geo.import_partition_csv(path, repair=True), partition)


@pytest.mark.parametrize("token", ["47e63", "0994", "478e4", "80858064", "477e9"])
def test_the_number_in_a_damaged_token_tells_the_level(tmp_path, token):
    """With no neighbours any coarser cell would be disjoint too."""
    path = tmp_path / "cells.csv"
    ids = geo.ids_from_tokens([token])
    geo.export_partition_csv(
        path, geo.Partition(ids, np.ones(1, np.int64), geo.cell_centers(ids) + 1e-9)
    )
    rewrite_tokens(path, as_spreadsheet)
    np.testing.assert_array_equal(geo.import_partition_csv(path, repair=True).ids, ids)


def test_a_token_that_cannot_be_repaired_is_named(tmp_path):
    path = tmp_path / "cells.csv"
    path.write_text(f"{HEADER}\n0,1,10,0.5,44.0\n1,lost,10,0.5,44.0\n")
    with pytest.raises(ValueError, match="cells.csv, line 3: hex_id 'lost' cannot be repaired"):
        geo.import_partition_csv(path, repair=True)


def test_cells_that_overlap_are_named(tmp_path):
    path = tmp_path / "cells.csv"
    leaf = geo.leaf_ids(np.array([[0.5, 44.0]]))
    fine, coarse = (geo.cell_tokens(geo.parent_ids(leaf, level))[0] for level in (9, 4))
    path.write_text(f"{HEADER}\n0,{fine},10,0.5,44.0\n1,{coarse},10,0.5,44.0\n")
    with pytest.raises(ValueError, match="lines [23] and [23] .* overlap"):
        geo.import_partition_csv(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no header class_label"),
        ("a,b,c\n1,2,3\n", "no header"),
        (f"one\ntwo\nthree\n{HEADER}\n0,1,10,0.5,44.0\n", "no header .* in the first 3 lines"),
        ("class_label,hex_id,imgs_per_cell\n0,1,10\n", "lacks latitude_mean, longitude_mean"),
        (f"{HEADER}\n", "no cell below the header"),
        (
            f"{HEADER}\n0,1,10,0.5,44.0\n1,3,many,0.5,44.0\n",
            "line 3: '1,3,many,0.5,44.0' is not a row",
        ),
        (f"{HEADER}\n0,1,10\n", "line 2: '0,1,10' is not a row"),
        (f"{HEADER}\n0,1,10,95.0,44.0\n", r"row 0 is \(95.0, 44.0\)"),
        (f"{HEADER}\n0,1,10,nan,44.0\n", "row 0 is"),
    ],
)
def test_files_that_are_no_cells_are_named(tmp_path, text, message):
    path = tmp_path / "cells.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"cells.csv.*{message}"):
        geo.import_partition_csv(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.csv"):
        geo.import_partition_csv(tmp_path / "none.csv")


@needs_published_files
def test_published_files_that_went_through_a_spreadsheet():
    """384, 236 and 121 tokens are damaged; repaired, the three partitions nest without a gap."""
    partitions = []
    for max_images, damaged, rows in ((5000, 121, 3298), (2000, 236, 7202), (1000, 384, 12893)):
        path = SHARED / f"cells_50_{max_images}_spreadsheet_damaged.csv"
        with pytest.raises(ValueError, match=f"{damaged} of {rows} hex_id"):
            geo.import_partition_csv(path)
        partition = geo.import_partition_csv(path, repair=True)
        assert len(partition) == rows
        np.testing.assert_array_equal(partition.assign(partition.latlng), np.arange(rows))
        partitions.append(partition)
    assert np.all(geo.link_partitions(partitions).ancestors >= 0)


@pytest.mark.parametrize("repair", [False, True])
def test_swapped_means_are_rejected_instead_of_sound_tokens(tmp_path, repair):
    path = tmp_path / "cells.csv"
    header = "class_label,hex_id,imgs_per_cell,latitude_mean,longitude_mean\n"
    token = s2.cell_tokens(s2.parent_ids(s2.leaf_ids(np.array([[48.5, 2.25]])), 8))[0]
    path.write_text(f"{header}0,{token},9,2.25,48.5\n")
    with pytest.raises(ValueError, match="line 2.*latitude_mean and longitude_mean are swapped"):
        geo.import_partition_csv(path, repair)


def test_utf16_cells_are_read(tmp_path):
    path = tmp_path / "cells.csv"
    header = "class_label,hex_id,imgs_per_cell,latitude_mean,longitude_mean\n"
    ids = s2.parent_ids(s2.leaf_ids(np.array([[48.5, 2.25]])), 8)
    path.write_text(f"{header}0,{s2.cell_tokens(ids)[0]},9,48.5,2.25\n", encoding="utf-16")
    np.testing.assert_array_equal(geo.import_partition_csv(path).ids, ids)
