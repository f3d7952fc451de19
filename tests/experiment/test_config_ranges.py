"""Every number of every config is walked over with values that make no sense."""

import math

import pytest

from configs import (
    cplanet,
    geoclip,
    geodecoder,
    geosurge,
    isn,
    mvmf,
    nearest,
    planet_classifier,
    regression,
    translocator,
)
from geosurge_jax.experiment.config_ranges import ANY, RANGES, has_range
from geosurge_jax.experiment.config_types import ConfigError, flat_items
from geosurge_jax.experiment.experiment_config import parse

SYSTEMS = (
    cplanet, geoclip, geodecoder, geosurge, isn, mvmf, nearest, planet_classifier, regression, translocator,
)  # fmt: skip
FREE = RANGES[ANY].split()


def numbers(config):
    """Keys and values of the numbers of a config, with tuples as they are."""
    for key, value in flat_items(config).items():
        first = value[0] if isinstance(value, tuple) and value else value
        if isinstance(first, int | float) and not isinstance(first, bool):
            yield key, value


def changed(config, key, value):
    *sections, name = key.removeprefix("config.").split(".")
    section = config
    for one in sections:
        section = section[one]
    section[name] = (value, *section[name][1:]) if isinstance(section[name], tuple) else value
    return config


def cases():
    seen = set()
    for file in SYSTEMS:
        for key, value in numbers(file.get_config("tiny").to_dict()):
            # A tower's keys depend on its kind, and those of a section on the system.
            if key not in seen:
                seen.add(key)
                yield pytest.param(file, key, value, id=key)


@pytest.mark.parametrize(("file", "key", "value"), [*cases()])
def test_an_impossible_number_is_rejected_with_its_key(file, key, value):
    assert has_range(key), f"{key}: give it a range in config_ranges.py"
    first = value[0] if isinstance(value, tuple) else value
    wrong = [-2] if isinstance(first, int) else [math.nan, math.inf, -math.inf, -1.0]
    if key.removeprefix("config.") in FREE:
        wrong.remove(-1.0)
    for one in wrong:
        with pytest.raises(ConfigError) as caught:
            parse(changed(file.get_config("tiny").to_dict(), key, one))
        assert key in str(caught.value) and "expected" in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("config.optimizer.learning_rate", 0.0, "above 0"),
        ("config.optimizer.b1", 1.0, "0 to below 1"),
        ("config.training.batch_size", 0, "1 or more"),
        ("config.training.log_every", 0, "1 or more"),
        ("config.training.accumulation", 0, "1 or more"),
        ("config.training.average_decay", 1.0, "0 to below 1"),
        ("config.data.max_bad_fraction", 1.5, "0 to 1"),
        ("config.seed", 2**32, "0 to 4294967295"),
        ("config.seed", "one", "expected int, got str"),
        ("config.mesh.data", 0, "1 or more"),
        ("config.geocells.min_level", 31, "0 to 30"),
        ("config.geocells.max_level", 0, "config.geocells.min_level=1: expected at most"),
        ("config.system.fusion.heads", 0, "1 or more"),
        ("config.system.fusion.dropout", 1.0, "0 to below 1"),
        ("config.system.visual.patch", 0, "1 or more"),
    ],
)
def test_the_edges_of_ranges(key, value, expected):
    with pytest.raises(ValueError, match="expected") as caught:
        parse(changed(geosurge.get_config("tiny").to_dict(), key, value))
    assert key in str(caught.value) and expected in str(caught.value)
