import io
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from geosurge_jax.dataset.ade20k import class_id
from geosurge_jax.dataset.reader import open_dataset
from geosurge_jax.dataset.record import SCENE_GROUPS
from geosurge_jax.geo import on_land
from geosurge_jax.synthetic_earth.canvas import Paint, blank_canvas, rectangle
from geosurge_jax.synthetic_earth.dataset import (
    CLASSES_USED,
    Nuisance,
    build_world,
    planet_records,
    prepare,
    render_photo,
    sample_locations,
    splits_of,
)
from geosurge_jax.synthetic_earth.encoding import PhotoSet
from geosurge_jax.synthetic_earth.light import develop, sun_direction
from geosurge_jax.synthetic_earth.sampling import plan_photos
from geosurge_jax.synthetic_earth.style import place_at

PLACES = {"Paris": (48.86, 2.35), "Sahara": (24.0, 5.0), "Sydney": (-33.8, 150.9)}
CHANGES = {
    "season": {"season": 0.03},
    "hour": {"hour": 21.0},
    "weather": {"weather": "rain"},
    "exposure": {"exposure": 0.7},
    "cast": {"cast": (1.1, 1.0, 0.85)},
}


@pytest.fixture(scope="module")
def world():
    return build_world(0)


@pytest.fixture(scope="module")
def records():
    return list(planet_records(400, 48, 0, 0, 120))


def distances_km(a, b):
    """Haversine in float64, written out here."""
    a, b = np.deg2rad(a)[:, None], np.deg2rad(b)[None, :]
    half = np.sin((a - b) / 2) ** 2
    h = half[..., 0] + np.cos(a[..., 0]) * np.cos(b[..., 0]) * half[..., 1]
    return 2 * 6371.0 * np.arcsin(np.sqrt(np.clip(h, 0, 1)))


def test_the_same_bytes_again_and_for_any_slice(records):
    assert list(planet_records(400, 48, 0, 37, 52)) == records[37:52]
    assert next(planet_records(400, 48, 1, 0, 1)).image != records[0].image


def test_the_same_bytes_from_worker_processes(records, world):
    photos = PhotoSet(world, plan_photos(world, 400, 0), np.arange(70), size=48, workers=2)
    assert len(photos) == 70
    assert list(photos) == records[:70]


def test_a_range_outside_the_data_set_is_refused():
    with pytest.raises(ValueError, match="5 to 401"):
        planet_records(400, 48, 0, 5, 401)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("place", PLACES)
def test_conditions_change_the_photo_but_not_the_map(world, place, change):
    changed = 0
    for viewpoint in range(8):
        nuisance = Nuisance(season=0.55, viewpoint=viewpoint)
        pixels, classes, scene = render_photo(PLACES[place], nuisance, 48, world)
        other = replace(nuisance, **CHANGES[change])
        new_pixels, new_classes, new_scene = render_photo(PLACES[place], other, 48, world)
        np.testing.assert_array_equal(classes, new_classes)
        assert scene == new_scene
        changed += not np.array_equal(pixels, new_pixels)
    assert changed >= 6  # a room may look the same in rain


def test_another_viewpoint_shows_something_else(world):
    maps = [render_photo(PLACES["Paris"], Nuisance(viewpoint=v), 48, world)[1] for v in range(6)]
    assert len({classes.tobytes() for classes in maps}) == 6


def test_photos_and_maps_decode_at_the_size_asked_for(records):
    declared = {class_id(name) for name in CLASSES_USED}
    seen = set()
    for record in records:
        photo, classes = (
            Image.open(io.BytesIO(content)) for content in (record.image, record.segmentation)
        )
        assert (photo.format, photo.mode, photo.size) == ("JPEG", "RGB", (48, 48))
        assert (classes.format, classes.mode, classes.size) == ("PNG", "L", (48, 48))
        seen |= set(np.unique(np.asarray(classes)).tolist())
    assert seen <= declared
    assert len(seen) > 30


def test_scenes_and_their_classes_agree(records):
    scenes = np.array([record.scene[0] for record in records])
    shares = np.bincount(scenes, minlength=3) / len(scenes)
    assert 0.03 < shares[0] < 0.2 and 0.3 < shares[1] < 0.5 and shares[2] > 0.4
    for record in records:
        classes = set(np.unique(np.asarray(Image.open(io.BytesIO(record.segmentation)))).tolist())
        assert (class_id("ceiling") in classes) == (record.scene[0] == 0)
        assert (
            record.scene[0] != 2
            or class_id("building") in classes
            or 25 in classes
            or 48 in classes
        )


def test_scene_groups_show_what_they_are_called(records):
    """Group -> classes, by name of ADE20K, of which each photo of the group shows at least one."""
    shown = {
        "home or hotel": {"ceiling"},
        "water, ice, snow": {"sea", "land"},
        "mountains, hills, desert, sky": {"sand", "earth", "rock", "mountain", "hill"},
        "forest, field, jungle": {"tree", "palm", "plant", "grass", "field", "hill"},
        "transportation, outdoor": {"road"},
        "houses, cabins, gardens, farms": {"building", "house", "skyscraper"},
        "commercial buildings, shops, markets, cities, towns": {"building", "house", "skyscraper"},
    }
    coarse = {
        name: (0 if place < 6 else 1 if place < 10 else 2)
        for place, name in enumerate(SCENE_GROUPS)
    }
    seen = set()
    for record in records:
        scene, group, category = record.scene
        name = SCENE_GROUPS[group]
        seen.add(name)
        assert category == -1 and coarse[name] == scene
        classes = set(np.unique(np.asarray(Image.open(io.BytesIO(record.segmentation)))).tolist())
        assert classes & {class_id(one) for one in shown[name]}, name
        assert name != "mountains, hills, desert, sky" or class_id("grass") not in classes
    assert seen == set(shown)


def test_a_scene_is_the_same_at_any_size(world):
    small = render_photo(PLACES["Paris"], Nuisance(viewpoint=4), 48, world)[1]
    large = render_photo(PLACES["Paris"], Nuisance(viewpoint=4), 144, world)[1]
    assert np.mean(large[1::3, 1::3] == small) > 0.95


def test_photos_are_taken_on_land_around_cities(world):
    latlng = sample_locations(world, 3000, 0)
    assert latlng.shape == (3000, 2) and latlng.dtype == np.float64
    np.testing.assert_array_equal(latlng, np.round(latlng, 6))
    assert np.all(on_land(latlng))
    assert np.all((latlng[:, 1] >= -180) & (latlng[:, 1] < 180))
    in_cities = (distances_km(latlng, world.cities) < 60).any(axis=1).mean()
    assert 0.75 < in_cities < 0.95
    assert np.mean(latlng[:, 0] < 0) > 0.1


def test_guessing_the_density_is_rarely_right(world):
    latlng = sample_locations(world, 4000, 0)
    author = plan_photos(world, 4000, 0).author
    train = author % 5 > 0
    within = distances_km(latlng[~train], latlng[train])
    assert np.mean(within <= 200) < 0.015
    assert np.mean(within <= 2500) < 0.15


def test_an_author_takes_several_photos_near_each_other(world):
    plan = plan_photos(world, 1500, 0)
    sizes = np.bincount(plan.author)[:-1]
    assert sizes.min() == 3 and sizes.max() == 8
    same_view = np.flatnonzero(plan.viewpoint[1:] == plan.viewpoint[:-1])
    assert len(same_view) > 100
    np.testing.assert_array_equal(plan.author[same_view], plan.author[same_view + 1])
    starts = np.flatnonzero(np.diff(plan.author, prepend=-1))
    spread = distances_km(plan.latlng, plan.latlng[starts])[np.arange(1500), plan.author]
    assert spread.max() < 30


@pytest.mark.parametrize(("latitude", "side"), [(50.0, 1), (-34.0, -1), (66.0, 1), (-45.0, -1)])
def test_the_noon_sun_stands_towards_the_equator(world, latitude, side):
    right, up, ahead = sun_direction(latitude, season=0.2, hour=12.0, heading=90.0)
    assert right * side > 0.3 and up > 0.2 and abs(ahead) < 1e-9
    assert sun_direction(latitude, season=0.2, hour=8.0, heading=90.0)[2] > 0.5
    canvas = blank_canvas(32)
    grey = Paint("wall", np.full(3, 0.5))
    rectangle(canvas, 0.0, 0, 0.5, 1, replace(grey, facing=1.0))
    rectangle(canvas, 0.5, 0, 1.0, 1, replace(grey, facing=-1.0))
    noon = Nuisance(season=0.2, hour=12.0)
    photo = develop(canvas, place_at(world, (latitude, 10.0)), noon, heading=90.0, indoor=False)
    difference = photo[:, :16].mean() - photo[:, 16:].mean()
    assert difference * side > 10


@pytest.mark.parametrize("count", [20, 20_000])
def test_splits_hold_80_8_and_12_of_100_authors_in_any_order(count):
    names = [f"author-{number}" for number in range(count)]
    splits = splits_of(names)
    shares = np.bincount(splits, minlength=3) / count
    np.testing.assert_allclose(shares, [0.80, 0.08, 0.12], atol=0.6 / count + 0.02)
    np.testing.assert_array_equal(splits_of(names[::-1]), splits[::-1])


def test_prepare_writes_all_splits_and_authors_do_not_straddle(tmp_path):
    directory = prepare(tmp_path, photos=120, size=32, seed=3, workers=1)
    manifest = json.loads((directory / "manifest.json").read_text())
    assert manifest["source"] == {
        "generator": "data.planet", "photos": 120, "size": 32, "seed": 3,
    }  # fmt: skip
    dataset = open_dataset(directory)
    authors = []
    for name in ("train", "validation", "test"):
        split = dataset.split(name)
        authors.append({split.records[index]["author"] for index in range(len(split))})
    assert sum(len(dataset.split(name)) for name in ("train", "validation", "test")) == 120
    assert all(authors) and len(set.union(*authors)) == sum(map(len, authors))
    before = (directory / "manifest.json").stat().st_mtime_ns
    assert prepare(tmp_path, photos=120, size=32, seed=3, workers=1) == directory
    assert (directory / "manifest.json").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"photos": 5}, r"--photos 5 \(config.data.photos\): too few"),
        ({"photos": 0}, "--photos 0"),
        ({"size": 8}, "--size 8"),
        ({"workers": 0}, "--workers 0"),
    ],
)
def test_values_out_of_range_are_refused(tmp_path, values, message):
    with pytest.raises(ValueError, match=message):
        prepare(tmp_path, **values)
    assert not list(tmp_path.iterdir())
