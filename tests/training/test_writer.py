import json

from geosurge_jax.training.writer import METRICS_FILE, MetricWriter, read_metrics


def test_a_restart_drops_what_lies_beyond_its_step(tmp_path):
    writer = MetricWriter(tmp_path, step=0, evaluated_step=0)
    for step in (1, 2, 3):
        writer.write(step, {"train/loss": float(step)})
    writer.close()
    with (tmp_path / METRICS_FILE).open("a") as file:
        file.write('{"step": 4, "train/lo')
    assert [row["step"] for row in read_metrics(tmp_path)] == [1, 2, 3]
    writer = MetricWriter(tmp_path, step=2, evaluated_step=0)
    writer.write(3, {"train/loss": 30.0})
    writer.close()
    lines = (tmp_path / METRICS_FILE).read_text().splitlines()
    assert [json.loads(line)["train/loss"] for line in lines] == [1.0, 2.0, 30.0]
    assert list((tmp_path / "tensorboard").glob("events.*"))
