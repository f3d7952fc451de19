import json

import pytest

from configs.geosurge import get_config
from geosurge_jax.experiment.config_types import ConfigError
from geosurge_jax.experiment.workdir import claim, open_for_training, open_trained


def tiny(**changes):
    config = get_config("tiny").to_dict()
    for path, value in changes.items():
        section, name = path.split("__")
        config[section][name] = value
    return config


def begin(root, config):
    workdir = open_for_training(root, config)
    claim(workdir, config)
    return workdir


def test_opening_claims_nothing(tmp_path):
    open_for_training(tmp_path, tiny())
    begin(tmp_path, tiny(training__steps=9))


def test_the_same_config_may_come_back(tmp_path):
    first = begin(tmp_path / "run", tiny())
    again = begin(tmp_path / "run", tiny(evaluation__crops=10))
    assert first == again
    stored = json.loads(first.config.read_text())
    assert stored["evaluation"]["crops"] == 1 and stored["training"]["steps"] == 8
    assert "jax" in json.loads(first.versions.read_text())


def test_another_config_is_refused_with_the_difference(tmp_path):
    begin(tmp_path, tiny())
    with pytest.raises(ConfigError) as refused:
        begin(tmp_path, tiny(training__steps=9, optimizer__learning_rate=0.5))
    message = str(refused.value)
    assert "belongs to another config (train in another --workdir)" in message
    assert "config.training.steps: 8 -> 9" in message
    assert "config.optimizer.learning_rate: 0.002 -> 0.5" in message
    assert "config.seed" not in message


def test_reading_needs_the_same_model_only(tmp_path):
    with pytest.raises(ConfigError, match="no run here"):
        open_trained(tmp_path, tiny())
    begin(tmp_path, tiny())
    open_trained(tmp_path, tiny(training__steps=9))
    with pytest.raises(ConfigError, match="config.system.embedding_width: 16 -> 32"):
        open_trained(tmp_path, tiny(system__embedding_width=32))
