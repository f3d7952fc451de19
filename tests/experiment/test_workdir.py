import os

import pytest

from configs.geosurge import get_config
from geosurge_jax.experiment.config_types import ConfigError
from geosurge_jax.experiment.paths import local_path
from geosurge_jax.experiment.workdir import (
    claim,
    locked,
    open_for_training,
    open_trained,
    read_record,
)


def tiny(**changes):
    config = get_config("tiny").to_dict()
    for path, value in changes.items():
        section, name = path.split("__")
        config[section][name] = value
    return config


def record(config, **data):
    return {"config": config, "data": data, "code": {"jax": "1"}, "environment": {"devices": 8}}


def begin(root, config):
    workdir = open_for_training(root, config)
    claim(workdir, record(config, manifest_sha256="ab"))
    return workdir


def test_opening_claims_nothing(tmp_path):
    open_for_training(tmp_path, tiny())
    begin(tmp_path, tiny(training__steps=9))


def test_the_same_config_may_come_back(tmp_path):
    first = begin(tmp_path / "run", tiny())
    again = begin(tmp_path / "run", tiny(evaluation__crops=10))
    assert first == again
    stored = read_record(first)["config"]
    assert stored["evaluation"]["crops"] == 1 and stored["training"]["steps"] == 8


def test_another_config_is_refused_with_the_difference(tmp_path):
    begin(tmp_path, tiny())
    with pytest.raises(ConfigError) as refused:
        begin(tmp_path, tiny(training__steps=9, optimizer__learning_rate=0.5))
    message = str(refused.value)
    assert "belongs to another config (give the one it was trained with" in message
    assert "config.training.steps: 8 -> 9" in message
    assert "config.optimizer.learning_rate: 0.002 -> 0.5" in message
    assert "config.seed" not in message


def test_other_data_under_the_same_config_is_refused(tmp_path):
    workdir = begin(tmp_path, tiny())
    with pytest.raises(ConfigError, match="(?s)other data.*data.manifest_sha256: 'ab' -> 'cd'"):
        claim(workdir, record(tiny(), manifest_sha256="cd"))


def test_what_may_change_the_bits_is_warned_of(tmp_path, caplog):
    workdir = begin(tmp_path, tiny())
    claim(workdir, record(tiny(), manifest_sha256="ab"))
    assert not caplog.messages
    claim(workdir, {**record(tiny(), manifest_sha256="ab"), "code": {"jax": "2"}})
    assert [message.split("another ")[1] for message in caplog.messages] == ["code.jax: '1' -> '2'"]


def test_a_damaged_record_is_named(tmp_path):
    workdir = begin(tmp_path, tiny())
    workdir.record.write_text('{"config": ')
    with pytest.raises(ConfigError, match=r"run.json: not readable as JSON"):
        open_for_training(tmp_path, tiny())


def test_a_second_run_is_kept_out_until_the_first_ends(tmp_path):
    workdir = open_for_training(tmp_path / "run", tiny())
    with locked(workdir):
        with pytest.raises(
            ConfigError, match=rf"another run is at work here \(host .* {os.getpid()}"
        ):
            with locked(workdir):
                pass
    with locked(workdir):
        pass


def test_reading_needs_the_same_model_only(tmp_path):
    with pytest.raises(ConfigError, match="no run here"):
        open_trained(tmp_path, tiny())
    begin(tmp_path, tiny())
    open_trained(tmp_path, tiny(training__steps=9))
    with pytest.raises(ConfigError, match="config.system.embedding_width: 16 -> 32"):
        open_trained(tmp_path, tiny(system__embedding_width=32))


@pytest.mark.parametrize("name", ["run[1]", "a*", "b?", "c[d"])
def test_a_path_that_checkpoints_cannot_be_read_from_is_rejected(tmp_path, name):
    with pytest.raises(ConfigError, match="expected a path without .*takes for a pattern"):
        open_for_training(tmp_path / name / "run", tiny())
    assert not (tmp_path / name).exists()


def test_a_leading_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert local_path("--workdir", "~/run") == tmp_path / "run"
    assert open_for_training(tmp_path / "a~b", tiny()).root == tmp_path / "a~b"
    with pytest.raises(ConfigError, match="--workdir=~nobody-here/run: expected a user"):
        local_path("--workdir", "~nobody-here/run")
