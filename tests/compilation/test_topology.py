import importlib.util

import pytest

from geosurge_jax.compilation.topology import tpu_devices


def test_without_libtpu_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        ValueError, match="--topology=v5e:2x2: .*needs libtpu: pip install -r requirements-tpu.txt"
    ):
        tpu_devices("v5e:2x2")


@pytest.mark.parametrize("name", ["v5e", "v5litepod-256", "v5e:16", "v5e:4x4x4x4", "16x16", "live"])
def test_a_name_of_another_form(name, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    with pytest.raises(ValueError, match=f"--topology={name}: expected .* as v5e:16x16"):
        tpu_devices(name)
