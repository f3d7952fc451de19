"""Milliseconds that a gallery adds to a photo: its vectors kept, and encoded again at each call.

    python -m benchmarks.gallery [--places 100000] [--photos 1] [--seconds 5] [--gallery FILE.csv]

The location encoder, the head and the logits are those of `configs/geoclip.py` with random parameters, in
float32 where the machine is a CPU. The image tower is left out of both ways: what is timed begins with its
vector. GeoCLIP's public code encodes the whole gallery whenever a photo is asked about.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from configs import geoclip
from geosurge_jax.evaluation.decode import top_locations
from geosurge_jax.experiment.experiment_config import parse
from geosurge_jax.geo import read_places_csv
from geosurge_jax.systems.geoclip import build
from geosurge_jax.training.mesh import MeshConfig, make_mesh

TOP = 5


def seconds_per_call(call: Callable[[], Any], seconds: float) -> float:
    """Median of calls for about so many seconds, at least one, after one that compiles."""
    jax.block_until_ready(call())
    times, end = [], time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        began = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - began)
    return float(np.median(times))


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--places", type=int, default=100_000)
    parser.add_argument("--photos", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument(
        "--gallery", default="", help="CSV with LAT and LON instead of random places"
    )
    flags = parser.parse_args()
    raw = geoclip.get_config().to_dict()
    if jax.default_backend() == "cpu":
        raw["system"]["compute_dtype"] = "float32"
    config = parse(raw).system
    rng = np.random.default_rng(0)
    if flags.gallery:
        places = np.unique(read_places_csv(flags.gallery), axis=0)
    else:
        size = flags.places
        places = np.stack([rng.uniform(-90, 90, size), rng.uniform(-180, 180, size)], axis=1)
    system, device = build(config, None, {"gallery": places}), jax.devices()[0]  # pyright: ignore[reportArgumentType]
    vectors = jnp.asarray(rng.normal(size=(flags.photos, config.visual.projection)), jnp.float32)
    image = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.uint8)
    assert system.query is not None
    query = system.query

    def place(params: Any, prepared: Any, vectors: Any) -> Any:
        return top_locations(query(params, prepared, vectors), TOP)

    with jax.set_mesh(make_mesh(MeshConfig(1, 1, 1), [device])):
        # The tower is in neither way: its parameters are left out.
        shapes = jax.eval_shape(system.init, jax.random.key(0), {"image": image})
        params = jax.tree.map(
            lambda leaf: jnp.asarray(rng.normal(scale=0.05, size=leaf.shape), leaf.dtype),
            {name: part for name, part in shapes.items() if name != "visual"},
        ) | {"visual": {}}
        prepare, answer = jax.jit(system.prepare), jax.jit(place)
        prepared = prepare(params, {})
        again = jax.jit(lambda p, v: place(p, system.prepare(p, {}), v))
        kept = seconds_per_call(lambda: answer(params, prepared, vectors), flags.seconds)
        made = seconds_per_call(lambda: prepare(params, {}), flags.seconds)
        encoded = seconds_per_call(lambda: again(params, vectors), flags.seconds)
    print(f"{device.device_kind}, jax {jax.__version__}, {config.compute_dtype}")
    print(f"{len(places)} places, {flags.photos} photos a call, the best {TOP} of each")
    print("| what | ms |\n|---|---|")
    for what, value in (
        ("gallery's vectors kept: a call", kept),
        ("the vectors, once", made),
        ("gallery encoded at each call: a call", encoded),
    ):
        print(f"| {what} | {1000 * value:.1f} |")


if __name__ == "__main__":
    main()
