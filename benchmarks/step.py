"""Images a second of the training step and the posterior, beside what the device could do.

    python -m benchmarks.step --config=configs/geosurge.py --batch_sizes=32,64,128 --out=step.json
    python -m benchmarks.step --config=configs/geosurge.py:tiny --batch_sizes=16

Measures the ceilings of the backend first (rate of a large matrix product in the config's compute type,
bandwidth of a large copy), then compiles and times the config's own training step and posterior at each
batch size. Geocells are as many as `config.geocells.planned_cells` says, so no photo is needed. A batch
size that does not fit is reported as such.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags
from ml_collections import config_flags

from geosurge_jax.experiment import assembly
from geosurge_jax.experiment.experiment_config import ExperimentConfig, parse
from geosurge_jax.experiment.geography import planned_geography
from geosurge_jax.experiment.run_record import ask_for_determinism
from geosurge_jax.training.mesh import put_batch

CONFIG = config_flags.DEFINE_config_file("config", None, "Config file, optionally with :variant.")
BATCH_SIZES = flags.DEFINE_list("batch_sizes", ["16"], "Global batch sizes.")
SECONDS = flags.DEFINE_float("seconds", 5.0, "Time spent on each timing after warm-up.")
OUT = flags.DEFINE_string("out", None, "JSON file for the figures.")


def seconds_per_call(function: Callable[[], Any], budget: float) -> float:
    """Median seconds of a call that ends with its results ready, after two calls of warm-up."""
    for _ in range(2):
        jax.block_until_ready(function())
    times, start = [], time.perf_counter()
    while len(times) < 3 or (time.perf_counter() - start < budget and len(times) < 200):
        before = time.perf_counter()
        jax.block_until_ready(function())
        times.append(time.perf_counter() - before)
    return float(np.median(times))


def ceilings(dtype: str, budget: float) -> dict[str, float]:
    """TFLOP/s of a square matrix product and GB/s of a copy, on one device."""
    on_cpu = jax.default_backend() == "cpu"
    side, numbers = (2048, 2**26) if on_cpu else (8192, 2**30)
    a = jnp.ones((side, side), dtype)
    product = jax.jit(lambda x: x @ x)
    x = jnp.ones(numbers, jnp.float32)
    copy = jax.jit(lambda y: y + 1)
    return {
        "matmul_tflops": 2 * side**3 / seconds_per_call(lambda: product(a), budget) / 1e12,
        "copy_gbytes": 8 * numbers / seconds_per_call(lambda: copy(x), budget) / 1e9,
    }


def synthetic_batch(config: ExperimentConfig, model: assembly.Model, photos: int) -> dict[str, Any]:
    """Noise as pictures; cells of real places of the hierarchy."""
    rng, size = np.random.default_rng(0), model.system.preprocessing.image_size
    places = model.hierarchy.partitions[-1].latlng
    latlng = places[rng.integers(0, len(places), photos)]
    host = {
        "image": rng.integers(0, 256, (photos, size, size, 3), dtype=np.uint8),
        "segmentation": rng.integers(0, 150, (photos, size, size), dtype=np.uint8),
        "mask": np.ones(photos, np.float32),
        **model.system.targets(latlng),
    }
    return put_batch(model.mesh, host)


def compiled_bytes(compiled: Any) -> int:
    """Memory of a compiled program on one device: arguments, results and temporaries."""
    memory = compiled.memory_analysis()
    return (
        memory.argument_size_in_bytes
        + memory.temp_size_in_bytes
        + memory.output_size_in_bytes
        - memory.alias_size_in_bytes
    )


def time_batch_size(
    config: ExperimentConfig, model: assembly.Model, photos: int, tflops: float
) -> list[dict[str, Any]]:
    """Times training step and posterior; one row each."""
    plan = assembly.plan_training(config, model, 1000, 1000)
    state, batch = plan.state.create(jax.random.key(0)), synthetic_batch(config, model, photos)
    params = jax.jit(lambda s: s.evaluation_params())(state)
    prepared = model.evaluator.prepare(params, None, None)
    posterior = jax.jit(
        lambda params, batch: model.system.posterior(params, prepared, batch).log_prob
    )
    held = {"state": state}

    def train() -> Any:
        held["state"], sums = step_compiled(held["state"], batch)
        return sums

    rows = []
    for name, lowered, flops in (
        ("posterior", posterior.lower(params, batch), model.system.flops.forward),
        ("training step", plan.step.lower(state, batch), model.system.flops.training),
    ):
        before = time.perf_counter()
        compiled = lowered.compile()
        compile_seconds = time.perf_counter() - before
        step_compiled = compiled
        call = train if name == "training step" else lambda c=compiled: c(params, batch)
        seconds = seconds_per_call(call, SECONDS.value)
        rows.append(
            {
                "what": name,
                "batch": photos,
                "seconds": seconds,
                "images_per_second": photos / seconds,
                "tflops": flops * photos / seconds / 1e12,
                "share_of_matmul": flops * photos / seconds / 1e12 / tflops / jax.device_count(),
                "compiled_gbytes": compiled_bytes(compiled) / 1e9,
                "compile_seconds": compile_seconds,
            }
        )
    return rows


def main(_: list[str]) -> None:
    """Measures and prints; the table comes last."""
    config = parse(CONFIG.value.to_dict())
    if config.deterministic:
        ask_for_determinism()
    device = jax.devices()[0]
    report: dict[str, Any] = {
        "config": config.name,
        "device": device.device_kind,
        "devices": jax.device_count(),
        "jax": jax.__version__,
        "deterministic": config.deterministic,
        **ceilings(config.system.compute_dtype, SECONDS.value / 2),
    }
    model = assembly.make_model(config, planned_geography(config))
    report["cells"] = [len(partition.ids) for partition in model.hierarchy.partitions]
    report["flops_per_photo"] = vars(model.system.flops)
    rows: list[dict[str, Any]] = []
    with jax.set_mesh(model.mesh):
        for photos in (int(size) for size in BATCH_SIZES.value):
            try:
                rows += time_batch_size(config, model, photos, report["matmul_tflops"])
            except jax.errors.JaxRuntimeError as error:
                if "RESOURCE_EXHAUSTED" not in str(error):
                    raise
                rows.append({"what": "out of memory", "batch": photos})
            if OUT.value:
                Path(OUT.value).write_text(json.dumps({**report, "rows": rows}, indent=2) + "\n")
    stats = device.memory_stats() or {}
    print(f"{report['config']} on {report['devices']} x {report['device']}, jax {report['jax']}")
    print(f"cells {report['cells']}; {report['flops_per_photo']}")
    print(
        f"ceilings: {report['matmul_tflops']:.2f} TFLOP/s ({config.system.compute_dtype} product), "
        f"{report['copy_gbytes']:.0f} GB/s (copy); "
        f"peak memory in use {stats.get('peak_bytes_in_use', 0) / 1e9:.1f} GB"
    )
    print("| what | batch | images/s | TFLOP/s | of product | memory GB | compile s |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        if "seconds" not in row:
            print(f"| {row['what']} | {row['batch']} | | | | | |")
            continue
        print(
            f"| {row['what']} | {row['batch']} | {row['images_per_second']:.1f} | {row['tflops']:.3f} | "
            f"{row['share_of_matmul']:.0%} | {row['compiled_gbytes']:.2f} | {row['compile_seconds']:.1f} |"
        )


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    app.run(main)
