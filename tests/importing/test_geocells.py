import csv

import numpy as np
import pytest
from PIL import Image

from geosurge_jax.dataset.reader import open_dataset
from geosurge_jax.geo import build_hierarchy, cell_tokens, load_hierarchy
from geosurge_jax.importing.geocells import kept_table, main
from geosurge_jax.importing.importer import Import, import_archive
from geosurge_jax.importing.runners import on_this_machine
from tests.importing.photos import Listed, jpeg


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    rng = np.random.default_rng(0)
    values = {
        f"{n}.jpg": {"lat": str(rng.normal(47, 0.4)), "lon": str(rng.normal(8, 0.4))}
        for n in range(150)
    }
    archive = Listed([(name, jpeg(n)) for n, name in enumerate(values)], 50, values)
    job = Import("some", "2.0.0", archive, None, {"train": 1.0}, 0, None, 90, "Some.", "none")
    return import_archive(tmp_path_factory.mktemp("datasets"), job, on_this_machine(1))


def test_the_geocells_of_a_dataset_are_those_of_its_training_places(dataset, capsys):
    main(["--dataset", str(dataset), "--max-images", "60,20", "--min-images", "5"])
    latlng = open_dataset(dataset).split("train").latlng
    expected = build_hierarchy(latlng, (60, 20), 5)
    found = load_hierarchy(dataset / "geocells" / "geocells.npz")
    for one, other in zip(found.partitions, expected.partitions, strict=True):
        np.testing.assert_array_equal(one.ids, other.ids)
    with (dataset / "geocells" / "cells_5_20.csv").open(newline="") as file:
        tokens = [row["hex_id"] for row in csv.DictReader(file)]
    assert tokens == cell_tokens(expected.partitions[1].ids)
    with Image.open(dataset / "geocells" / "geocells.png") as picture:
        assert picture.width > 1000
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == str(dataset / "geocells") and lines[-2].startswith("150 photos, ")
    assert [int(line.split()[1]) for line in lines[1:3]] == [
        len(p.ids) for p in expected.partitions
    ]
    kept = (expected.assign(latlng) >= 0).mean(axis=0)
    assert [line.split()[-1] for line in lines[1:3]] == [f"{share:.2%}" for share in kept]


def test_what_is_published_of_mp16_stands_beside():
    latlng = np.stack([np.linspace(-60, 60, 9000), np.linspace(-170, 170, 9000)], axis=1)
    limits = (5000, 1000)
    lines = kept_table(build_hierarchy(latlng, limits, 50), 9000, limits).splitlines()
    assert lines[1].split()[2] == "3,298" and lines[2].split()[2] == "12,893"
    assert lines[1].split()[3] == "100.00%"


def test_published_tables_become_the_same_type(dataset, tmp_path, capsys):
    main(["--dataset", str(dataset), "--max-images", "60,20", "--min-images", "5"])
    tables = [str(dataset / "geocells" / f"cells_5_{most}.csv") for most in (60, 20)]
    main(["--cells", *tables, "--out", str(tmp_path / "again")])
    pair = (load_hierarchy(d / "geocells.npz") for d in (dataset / "geocells", tmp_path / "again"))
    for one, other in zip(*(hierarchy.partitions for hierarchy in pair), strict=True):
        np.testing.assert_array_equal(one.ids, other.ids)
        np.testing.assert_array_equal(one.counts, other.counts)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--dataset", "nowhere"], "nowhere: no manifest.json"),
        (["--cells", "nowhere.csv"], "expected --out"),
        (["--cells", "nowhere.csv", "--out", "x"], "No such file or directory: 'nowhere.csv'"),
    ],
)
def test_wrong_flags_end_in_one_line(flags, message):
    with pytest.raises(SystemExit) as error:
        main(flags)
    assert str(error.value).startswith("error: ") and message in str(error.value)


def test_thresholds_that_do_not_descend(dataset):
    with pytest.raises(SystemExit, match="expected strictly descending"):
        main(["--dataset", str(dataset), "--max-images", "20,60"])
