"""`--mode=query`: sentences in, the likeliest places of each out."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from geosurge_jax.evaluation.decode import top_locations
from geosurge_jax.experiment import assembly, terminal
from geosurge_jax.experiment.config_types import ConfigError
from geosurge_jax.experiment.evaluate import restore_params
from geosurge_jax.experiment.experiment_config import parse
from geosurge_jax.experiment.geography import load_geography
from geosurge_jax.experiment.workdir import open_trained
from geosurge_jax.interop.hub import model_directory
from geosurge_jax.interop.text_encoder import load_text_encoder
from geosurge_jax.models.tower import TowerConfig
from geosurge_jax.models.vit_config import ViTConfig
from geosurge_jax.serving.outputs import Prediction, write_csv, write_geojson
from geosurge_jax.systems.contract import Params, Prepared
from geosurge_jax.systems.posterior import Posterior

FLAG = "--text_encoder"


def run(raw: Mapping[str, Any], root: Path, text_encoder: str, sentences: Sequence[str]) -> None:
    """Places sentences with the workdir's checkpoint; writes `queries.csv` and `.geojson` there.

    Args:
        raw: the config file's mapping; its system has a common space with texts.
        root: the workdir.
        text_encoder: the CLIP whose image tower the system began with, a directory or "hf:ORG/NAME".
        sentences: what is asked.

    Raises:
        ValueError: one line that names what is missing or does not fit.
    """
    config = parse(raw)
    if not sentences:
        raise ConfigError("--mode=query: expected sentences as arguments")
    if not text_encoder:
        raise ConfigError(f"{FLAG}: missing; expected the CLIP whose image tower the model has")
    workdir = open_trained(root, raw)
    model = assembly.make_model(config, load_geography(workdir))
    system = model.system
    if system.query is None:
        raise ConfigError(
            f"config.system_name={config.system_name!r}: this system has no common space with texts"
        )
    encoder = load_text_encoder(model_directory(text_encoder, FLAG))
    vectors = encoder.vectors(sentences)
    width = text_width(system.towers["visual"])
    if vectors.shape[1] != width:
        raise ConfigError(
            f"{FLAG}={text_encoder!r}: makes vectors of width {vectors.shape[1]}, expected {width}, that of "
            "the image tower's projection (config.system.visual.projection)"
        )
    with jax.set_mesh(model.mesh):
        params, step = restore_params(config, workdir, model)
        prepared = assembly.prepare(
            config, model, params, lambda: assembly.open_run_dataset(config).split("train")
        )
        answer = make_query(system.query, model.mesh, config.evaluation.top_k)
        places: Any = answer(params, prepared, padded(vectors, model.mesh.size))
        latlng, log_prob = jax.device_get(places)
    if jax.process_index():
        return
    predictions = [Prediction(*place) for place in zip(sentences, latlng, log_prob, strict=False)]
    write_csv(workdir.root / "queries.csv", predictions, "sentence")
    write_geojson(workdir.root / "queries.geojson", predictions, "sentence")
    terminal.print_predictions(predictions, "sentence")
    terminal.CONSOLE.print(
        f"{len(predictions)} sentences placed by the checkpoint of step {step} -> "
        f"{workdir.root / 'queries.csv'}, {workdir.root / 'queries.geojson'}"
    )


def make_query(
    query: Callable[[Params, Prepared, jax.Array], Posterior], mesh: Mesh, top_k: int
) -> Callable[[Params, Prepared, np.ndarray], tuple[jax.Array, jax.Array]]:
    """Jits the way from a text tower's vectors `[B, E]` to the likeliest places, on every device."""

    def answer(params: Params, prepared: Prepared, vectors: jax.Array) -> Any:
        posterior = query(params, prepared, vectors)
        return top_locations(posterior, min(top_k, posterior.log_prob.shape[1]))

    return jax.jit(answer, out_shardings=NamedSharding(mesh, PartitionSpec()))


def text_width(tower: TowerConfig) -> int:
    """Width of the space that an image tower shares with texts; 0 where it shares none."""
    return tower.projection if isinstance(tower, ViTConfig) else 0


def padded(vectors: np.ndarray, multiple: int) -> np.ndarray:
    """Vectors `[B, E]` with rows of zeros behind them, so that the devices share them evenly."""
    missing = -len(vectors) % multiple
    return np.concatenate([vectors, np.zeros((missing, vectors.shape[1]), vectors.dtype)])
