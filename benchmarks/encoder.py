"""Seconds of CLIP's image encoder on a CPU: ours for training and for inference, onnxruntime, torch.

    python -m benchmarks.encoder --models=B/16-224,L/14-224,L/14-336 --batch-sizes=1,4,8 --out=encoder.json
    python -m benchmarks.encoder --cores=1

transformers makes CLIP with random weights and torch writes it as ONNX, so torch, transformers, onnx and
onnxruntime are needed (requirements-parity.txt). Ours loads the same weights, and every encoder must return
the same vectors. The encoders run in turn, one call each, so that other work of the machine slows
all of them. The rate compares medians.

With `--cores=1` every encoder has one thread, and seconds are those of the processor, not of the clock: other
processes are then not counted, which makes ratios repeatable on a shared machine.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from geosurge_jax.interop.families.clip import FAMILY
from geosurge_jax.interop.loading import load_part
from geosurge_jax.interop.model_directory import open_model
from geosurge_jax.interop.part import part_of
from geosurge_jax.models.cpu_encoder import make_cpu_encoder
from geosurge_jax.models.vit import ViT
from geosurge_jax.models.vit_config import VIT_SIZES, ViTConfig

PROJECTIONS = {"mu": 16, "B": 512, "L": 768}
# As large as single precision may make it for vectors of order 1 after 24 blocks.
TOLERANCE = 1e-3
Encoder = Callable[[], np.ndarray]


def write_clip(model: str, folder: Path) -> Any:
    """Make CLIP's image encoder with random weights, `B/16-224` for example; return torch's module.

    The folder gets it as transformers lays it out and as `model.onnx`, with any batch size.
    """
    import torch  # pyright: ignore[reportMissingImports]
    from transformers import (  # pyright: ignore[reportMissingImports]
        CLIPImageProcessor,
        CLIPVisionConfig,
        CLIPVisionModelWithProjection,
    )

    size, rest = model.split("/")
    patch, side = (int(number) for number in rest.split("-"))
    shape = VIT_SIZES[size]
    torch.manual_seed(0)
    config = CLIPVisionConfig(
        hidden_size=shape.width,
        num_hidden_layers=shape.depth,
        num_attention_heads=shape.heads,
        intermediate_size=shape.mlp,
        image_size=side,
        patch_size=patch,
        projection_dim=PROJECTIONS[size],
    )
    module = CLIPVisionModelWithProjection(config).eval()
    module.save_pretrained(folder)
    square = {"height": side, "width": side}
    CLIPImageProcessor(size={"shortest_edge": side}, crop_size=square).save_pretrained(folder)
    whole = {
        "model_type": "clip",
        "projection_dim": PROJECTIONS[size],
        "vision_config": json.loads((folder / "config.json").read_text()),
        "text_config": {},
    }
    (folder / "config.json").write_text(json.dumps(whole))
    torch.onnx.export(
        module,
        (torch.zeros(1, 3, side, side),),
        str(folder / "model.onnx"),
        dynamo=False,
        input_names=["pixels"],
        output_names=["pooled", "tokens"],
        dynamic_axes={"pixels": {0: "batch"}},
    )
    return module


def load_clip(folder: Path) -> tuple[ViTConfig, Any]:
    """Load what `write_clip` wrote as ours: config and parameters."""
    stored = open_model(folder)
    config = FAMILY.read(stored.config, stored.preprocessor)
    side = config.preprocessing.image_size
    image = jax.ShapeDtypeStruct((1, side, side, 3), np.uint8)
    shapes = jax.eval_shape(lambda x: ViT(config).init(jax.random.key(0), x, train=False), image)
    return config, load_part(part_of(stored, FAMILY, config, shapes["params"]))


def make_encoders(folder: Path, module: Any, image: np.ndarray, cores: int) -> dict[str, Encoder]:
    """Return the encoders by name, each a call on `image uint8 [B, H, W, 3]` that ends with its vectors."""
    import onnxruntime  # pyright: ignore[reportMissingImports]
    import torch  # pyright: ignore[reportMissingImports]

    config, params = load_clip(folder)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cores
    session = onnxruntime.InferenceSession(
        str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
    )
    torch.set_num_threads(cores)
    normalised = np.asarray(
        config.preprocessing.normalize(jnp.asarray(image), jnp.dtype(jnp.float32))
    )
    pixels = np.ascontiguousarray(normalised.transpose(0, 3, 1, 2))
    training = jax.jit(lambda p, x: ViT(config).apply({"params": p}, x, train=False))
    inference = make_cpu_encoder(config, params)

    def run_torch() -> np.ndarray:
        with torch.no_grad():
            return module(torch.from_numpy(pixels)).image_embeds.numpy()

    return {
        "onnxruntime": lambda: session.run(["pooled"], {"pixels": pixels})[0],
        "ours for inference": lambda: np.asarray(inference(jnp.asarray(image)).pooled),
        "ours for training": lambda: np.asarray(training(params, image).pooled),
        "torch": run_torch,
    }


def time_in_turn(
    encoders: dict[str, Encoder], seconds: float, clock: Callable[[], float]
) -> dict[str, list[float]]:
    """Call the encoders in turn for so many seconds, at least 5 rounds after one of warm-up.

    Raises:
        ValueError: an encoder returns other vectors than the first.
    """
    vectors = {name: encoder() for name, encoder in encoders.items()}
    expected = next(iter(vectors.values()))
    for name, vector in vectors.items():
        if not np.allclose(vector, expected, atol=TOLERANCE * np.abs(expected).max()):
            raise ValueError(f"{name}: the vectors differ from those of {next(iter(vectors))}")
    times: dict[str, list[float]] = {name: [] for name in encoders}
    start = time.perf_counter()
    while len(times["torch"]) < 5 or time.perf_counter() - start < seconds:
        for name, encoder in encoders.items():
            before = clock()
            encoder()
            times[name].append(clock() - before)
    return times


def main() -> None:
    """Measure and print one table row for each encoder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--models", default="B/16-224,L/14-224,L/14-336")
    parser.add_argument("--batch-sizes", default="1,4,8")
    parser.add_argument("--seconds", type=float, default=20, help="for each model and batch size")
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--out", type=Path, help="JSON file for all times")
    arguments = parser.parse_args()
    # JAX makes as many threads as it finds cores when it is first used.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.cores])
    clock = time.process_time if arguments.cores == 1 else time.perf_counter
    rows = []
    print(
        "| model | batch | encoder | median s | least s | rate, onnxruntime = 1 |\n|---|---|---|---|---|---|"
    )
    for model in arguments.models.split(","):
        with tempfile.TemporaryDirectory() as folder:
            module = write_clip(model, Path(folder))
            for batch in (int(size) for size in arguments.batch_sizes.split(",")):
                side = int(model.split("-")[1])
                shape = (batch, side, side, 3)
                image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
                encoders = make_encoders(Path(folder), module, image, arguments.cores)
                times = time_in_turn(encoders, arguments.seconds, clock)
                base = float(np.median(times["onnxruntime"]))
                for name, values in times.items():
                    median = float(np.median(values))
                    rows.append(
                        {"model": model, "batch": batch, "encoder": name, "seconds": values}
                    )
                    print(
                        f"| {model} | {batch} | {name} | {median:.3f} | {min(values):.3f} | "
                        f"{base / median:.2f} |",
                        flush=True,
                    )
    if arguments.out:
        arguments.out.write_text(json.dumps(rows) + "\n")


if __name__ == "__main__":
    main()
