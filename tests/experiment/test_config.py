import re

import pytest

from configs import (
    cplanet,
    geoclip,
    geodecoder,
    geosurge,
    isn,
    league,
    mvmf,
    nearest,
    planet_classifier,
    regression,
    translocator,
)
from configs.geosurge import get_config
from geosurge_jax.experiment.config_types import ConfigError
from geosurge_jax.experiment.experiment_config import parse

SYSTEMS = (
    cplanet, geoclip, geodecoder, geosurge, isn, mvmf, nearest, planet_classifier, regression, translocator,
)  # fmt: skip


@pytest.mark.parametrize(
    ("file", "variant"),
    [(file, variant) for file in SYSTEMS for variant in file.VARIANTS],
    ids=lambda value: value if isinstance(value, str) else value.__name__.split(".")[1],
)
def test_every_variant_of_every_system_parses(file, variant):
    assert parse(file.get_config(variant).to_dict()).name


def test_a_league_is_no_run():
    with pytest.raises(ConfigError, match="a league, which --mode=train alone knows"):
        parse(league.get_config("tiny").to_dict())


def test_the_paper_config_holds_the_published_values():
    config = parse(get_config().to_dict())
    assert (config.system.visual.size, config.system.visual.patch) == ("L", 14)
    assert config.system.visual.preprocessing.image_size == 336
    assert len(config.geocells.max_images) == 7
    assert config.geocells.max_images[0] == 25000 and config.geocells.max_images[-1] == 500
    assert config.system.fusion.blocks == 3 and config.system.embedding_width == 768
    assert config.system.initial_temperature == 0.07
    assert config.optimizer.learning_rate == config.optimizer.weight_decay == 1e-4
    assert config.optimizer.schedule == "halving" and config.training.patience == 4
    assert config.training.batch_size == 1024


def test_a_typo_is_met_with_the_nearest_key():
    with pytest.raises(AttributeError, match="Did you mean.*learning_rate"):
        get_config("tiny").optimizer.learning_rat = 1.0


def test_an_unknown_variant_is_refused():
    with pytest.raises(ValueError, match="configs/geosurge.py:huge: expected one of"):
        get_config("huge")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("training.batch_size", 0, "config.training.batch_size=0"),
        (
            "training.epochs",
            1.0,
            "config.training.epochs=1.0, config.training.steps=8: expected exactly one",
        ),
        ("system.targets", "points", "config.system.targets='points': expected one of"),
        ("system.fusion.kind", "late", "config.system.fusion.kind='late': expected one of"),
        ("evaluation.crops", 3, "config.evaluation.crops=3: expected 1, 5 or 10"),
        (
            "evaluation.checkpoint",
            "newest",
            "config.evaluation.checkpoint='newest': expected one of",
        ),
        (
            "augmentation.crop_scale",
            (0.5,),
            re.escape("config.augmentation.crop_scale=(0.5,): expected 2 values"),
        ),
        (
            "system_name",
            "atlas",
            re.escape("config.system_name='atlas': expected one of ['cplanet', 'geoclip'"),
        ),
        ("mesh.data", "all", "config.mesh.data='all': expected int, got str"),
    ],
)
def test_bad_values_are_refused_with_key_value_and_expectation(path, value, message):
    config = get_config("tiny").to_dict()
    *sections, name = path.split(".")
    section = config
    for key in sections:
        section = section[key]
    section[name] = value
    with pytest.raises(ValueError, match=message):
        parse(config)


def test_unknown_and_missing_keys_are_refused():
    config = get_config("tiny").to_dict()
    config["data"]["colour"] = 1
    with pytest.raises(ConfigError, match=r"config.data.colour: unknown; expected the keys \["):
        parse(config)
    config = get_config("tiny").to_dict()
    del config["mesh"]["data"]
    with pytest.raises(ConfigError, match="config.mesh.data: missing"):
        parse(config)


def test_geocell_limits_scale_with_the_data_set_and_equal_levels_merge():
    geocells = parse(get_config("folder").to_dict()).geocells
    assert geocells.scaled(1000) == ((250, 100, 50, 20, 10, 7, 5), 1)
    assert geocells.scaled(100) == ((25, 10, 5, 2, 1), 1)
    paper = parse(get_config().to_dict()).geocells
    assert paper.scaled(10) == (paper.max_images, 50)
