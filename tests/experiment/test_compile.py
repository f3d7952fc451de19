import dataclasses
import json

import jax
import pytest

from configs.geosurge import get_config
from geosurge_jax.compilation.chips import chip_of
from geosurge_jax.compilation.collectives import gathers_of_rows
from geosurge_jax.compilation.program import parse_program
from geosurge_jax.compilation.topology import tpu_devices
from geosurge_jax.experiment import assembly, compile
from geosurge_jax.experiment.experiment_config import parse
from geosurge_jax.experiment.geography import planned_geography
from geosurge_jax.training.parameters import flatten

CELLS = (90, 200, 400)


def tiny(**mesh):
    config = get_config("tiny")
    config.mesh.update(mesh)
    config.system.table_row_multiple = 96
    config.geocells.planned_cells = CELLS
    return config.to_dict()


def test_reports_of_this_machine_are_printed_and_written(tmp_path, capsys):
    compile.run(tiny(data=2, fsdp=2, model=2), tmp_path, "live")
    printed = capsys.readouterr().out
    assert "table/level_2" in printed and "(fsdp+model)" in printed
    step, posterior = json.loads((tmp_path / "compile-live.json").read_text())
    assert step["setting"]["mesh"] == {"data": 2, "fsdp": 2, "model": 2} and step["chips"] == 8
    assert posterior["setting"]["name"] == "posterior" and posterior["fits"] is None
    assert 0 < posterior["cost"]["flops"]["wide"] < step["cost"]["flops"]["wide"]
    for report in (step, posterior):
        ratio = report["cost"]["flops"]["wide"] * 8 / report["setting"]["expected_flops"]
        assert 0.9 < ratio < 1.4, "work is replicated, or left out"
    text = (tmp_path / "compile-live.md").read_text()
    assert "training step, 16 photos, on live: 8 x" in text and "mesh: data 2 x fsdp 2" in text


def test_what_does_not_fit_is_refused_after_the_reports_are_written(tmp_path, monkeypatch):
    small = dataclasses.replace(chip_of(jax.devices()[0]), memory_bytes=800_000)
    monkeypatch.setattr(compile, "chip_of", lambda device: small)
    with pytest.raises(compile.DoesNotFitError, match="live: training step of .* need more memory"):
        compile.run(tiny(data=8), tmp_path, "live")
    step, posterior = json.loads((tmp_path / "compile-live.json").read_text())
    assert step["fits"] is False and posterior["fits"] is True


def compiled_step(devices, **mesh):
    """Rows of the training step's tables, and the compiled programs of step and posterior."""
    config = parse(tiny(**mesh))
    model = assembly.make_model(config, planned_geography(config), devices)
    plan = assembly.plan_training(config, model, total_steps=10, steps_per_epoch=1)
    rows = [
        leaf.shape[0]
        for path, leaf in sorted(flatten(plan.state.abstract.trained).items())
        if "level_" in path
    ]
    with jax.set_mesh(model.mesh):
        programs = [
            parse_program(lower().compile().as_text())
            for _, lower, _, _ in compile.programs(config, model, plan)
        ]
    return rows, programs


@pytest.mark.slow
@pytest.mark.parametrize("mesh", [dict(data=1, fsdp=2, model=2), dict(data=1, fsdp=1, model=4)])
def test_no_level_is_gathered_by_the_tpu_compiler(mesh):
    """As tests/training/test_step.py shows it for the CPU's."""
    pytest.importorskip("libtpu", reason="pip install -r requirements-tpu.txt")
    rows, programs = compiled_step(tpu_devices("v5e:2x2"), **mesh)
    assert rows == [96, 288, 480]
    for program in programs:
        for level, count in enumerate(rows):
            assert not gathers_of_rows(program, count), f"level {level} is gathered"


@pytest.mark.slow
def test_reports_of_a_tpu_slice(tmp_path):
    pytest.importorskip("libtpu", reason="pip install -r requirements-tpu.txt")
    compile.run(tiny(data=-1), tmp_path, "v5e:2x2")
    step, posterior = json.loads((tmp_path / "compile-v5e-2x2.json").read_text())
    assert step["fits"] and posterior["fits"]
    assert step["memory"]["available"] == round(15.75 * 2**30)
    assert {one["kind"] for one in step["cost"]["collectives"]} == {"all-reduce"}
