"""The published configuration's parameters on four meshes, as golden files.

After a wanted change: `python -m pytest tests/experiment/test_layout_report.py --rewrite-golden`, then read
the difference.
"""

from pathlib import Path

import jax
import pytest

from configs.geosurge import get_config
from geosurge_jax.experiment import assembly
from geosurge_jax.experiment.experiment_config import parse
from geosurge_jax.experiment.geography import planned_geography
from geosurge_jax.training.layout import layout_report

GOLDEN = Path(__file__).parent / "layouts"


@pytest.mark.parametrize("mesh", [(1, 1, 1), (8, 1, 1), (2, 2, 2), (1, 1, 8)])
def test_published_layout_is_the_golden_one(mesh, request):
    raw = get_config()
    raw.mesh.update(dict(zip(("data", "fsdp", "model"), mesh, strict=True)))
    config = parse(raw.to_dict())
    devices = jax.devices()[: mesh[0] * mesh[1] * mesh[2]]
    model = assembly.make_model(config, planned_geography(config), devices)
    plan = assembly.plan_training(config, model, total_steps=10, steps_per_epoch=1)
    report = layout_report(plan.state.layout, model.mesh)
    path = GOLDEN / f"geosurge-{'x'.join(map(str, mesh))}.txt"
    if request.config.getoption("--rewrite-golden"):
        path.write_text(report)
    assert report == path.read_text()
