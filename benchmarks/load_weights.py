"""Memory and seconds to bring a published tower onto a mesh, beside the usual way through the host.

    python -m benchmarks.load_weights [--fsdp 8] [--directory DIR] [--repeats 3]

The tower is CLIP's ViT-L/14 at 336 px as Hugging Face lays it out: 303,507,456 float32 numbers, random here,
1.2 GB. It goes into the tree of `configs/geosurge.py` (scanned stacks of frozen and of trained blocks), laid
over `fsdp` simulated devices by the rules of the run. Ours opens the directory, checks it, and hands each
device its rows of the mapped file. The usual way reads the whole file, rearranges it on the host, and calls
`jax.device_put` with the same shardings. Where torch is there the same tensors are also written with
torch.save and opened by us, without torch.

Each way runs in a process of its own. Memory is what the process has at its peak beyond what it had before,
the mapped file counted apart, which the kernel can drop. The simulated devices' memory is the host's, so the
parameters themselves are in it and are taken off. The files have just been written or read: no disk is in it.
"""

import argparse
import importlib.util
import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding
from safetensors.numpy import load_file

from configs import geosurge
from geosurge_jax.experiment.experiment_config import parse
from geosurge_jax.interop.families.clip import FAMILY
from geosurge_jax.interop.loading import load_part
from geosurge_jax.interop.model_directory import open_model
from geosurge_jax.interop.part import find_sources, frozen_blocks, part_of
from geosurge_jax.models.towers import make_tower
from geosurge_jax.models.vit_config import ViTConfig
from geosurge_jax.training.layout import plan_layout
from geosurge_jax.training.mesh import MeshConfig, make_mesh
from geosurge_jax.training.parameters import flatten, unflatten

PARAMETERS = 303_507_456
WAYS = {
    "ours": "mapped safetensors to the devices",
    "usual": "the usual: `load_file`, rearranged on the host, `device_put`",
    "torch": "a file of torch.save to the devices, without torch",
}


def tower_config() -> ViTConfig:
    """The image tower of the paper's config."""
    return parse(geosurge.get_config().to_dict()).system.visual


def tower_shapes(config: ViTConfig) -> dict[str, Any]:
    """Shapes of a tower's parameters, a nested dict."""
    side = config.preprocessing.image_size
    image = jax.ShapeDtypeStruct((1, side, side, 3), jnp.uint8)
    tower = make_tower(config, jnp.float32)
    return jax.eval_shape(lambda x: tower.init(jax.random.key(0), x, train=False), image)["params"]


def stored_shapes(config: ViTConfig) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors in its file, by name."""
    flat, found = flatten(tower_shapes(config)), {}
    for path, sources in find_sources(flat, FAMILY.entries(config), frozen_blocks(config)).items():
        shape = flat[path].shape[sources.stacked :]
        for entry in sources.entries:
            empty = np.broadcast_to(np.float32(0), shape)
            found[FAMILY.prefixes[0] + entry.name] = entry.transform.to_theirs(empty).shape
    return found


def write_model(directory: Path, config: ViTConfig) -> None:
    """Writes a directory with random weights, one tensor in memory at a time."""
    directory.mkdir(parents=True, exist_ok=True)
    described, preprocessor = FAMILY.write(config)
    (directory / "config.json").write_text(json.dumps(described))
    (directory / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    header, end = {}, 0
    shapes = stored_shapes(config)
    for name, shape in shapes.items():
        begin, end = end, end + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    rng = np.random.default_rng(0)
    unfinished = directory / "unfinished"
    with unfinished.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for shape in shapes.values():
            rng.standard_normal(math.prod(shape), np.float32).tofile(file)
    unfinished.rename(directory / "model.safetensors")


def write_torch_model(directory: Path, source: Path) -> None:
    """Writes the same model with torch.save."""
    import torch  # pyright: ignore[reportMissingImports]

    directory.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "preprocessor_config.json"):
        (directory / name).write_bytes((source / name).read_bytes())
    tensors = load_file(source / "model.safetensors")
    unfinished = directory / "unfinished"
    torch.save({name: torch.from_numpy(array) for name, array in tensors.items()}, unfinished)
    unfinished.rename(directory / "pytorch_model.bin")


def sharded_shapes(config: ViTConfig, fsdp: int) -> dict[str, Any]:
    """Shapes with the shardings of a run."""
    mesh = make_mesh(MeshConfig(data=1, fsdp=fsdp, model=1))
    shapes = tower_shapes(config)
    flat = flatten(shapes)
    return unflatten(
        {
            row.path: jax.ShapeDtypeStruct(
                row.shape, flat[row.path].dtype, sharding=NamedSharding(mesh, row.spec)
            )
            for row in plan_layout(shapes, config.partition_rules, mesh)
        }
    )


def load_the_usual_way(path: Path, config: ViTConfig, shapes: Mapping[str, Any]) -> Any:
    """The whole file, then the whole tree on the host, then onto the devices."""

    def rearranged() -> dict[str, Any]:
        tensors, flat, tree = load_file(path), flatten(shapes), {}
        sources = find_sources(flat, FAMILY.entries(config), frozen_blocks(config))
        for name, source in sources.items():
            arrays = [
                e.transform.to_ours(tensors[FAMILY.prefixes[0] + e.name]) for e in source.entries
            ]
            tree[name] = np.stack(arrays) if source.stacked else np.ascontiguousarray(arrays[0])
        return unflatten(tree)

    return jax.device_put(rearranged(), jax.tree.map(lambda leaf: leaf.sharding, shapes))


def resident() -> dict[str, int]:
    """Bytes that this process holds in memory of its own and in mapped files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return {name: 1024 * int(fields[name].split()[0]) for name in ("RssAnon", "RssFile")}


def peak_of(function: Callable[[], Any]) -> tuple[Any, float, dict[str, int]]:
    """Result, seconds, and most bytes of each kind beyond those before, looked at every millisecond."""
    before = resident()
    most, over = dict(before), threading.Event()

    def watch() -> None:
        while not over.wait(0.001):
            for name, value in resident().items():
                most[name] = max(most[name], value)

    thread = threading.Thread(target=watch)
    thread.start()
    start = time.perf_counter()
    result = jax.block_until_ready(function())
    seconds = time.perf_counter() - start
    over.set()
    thread.join()
    return result, seconds, {name: most[name] - before[name] for name in most}


def check_split(params: Mapping[str, Any], shapes: Mapping[str, Any]) -> None:
    """Stops where a device holds more of an array than its rule gives it."""
    wanted = flatten(shapes)
    for path, array in flatten(params).items():
        share = math.prod(wanted[path].sharding.shard_shape(array.shape))
        for shard in array.addressable_shards:
            if shard.data.size != share:
                raise SystemExit(f"{path}: {shard.device} holds {shard.data.size}, not {share}")


def measure(way: str, directory: Path, fsdp: int) -> dict[str, float]:
    """Loads in this process and says what it took."""
    config = tower_config()
    shapes = sharded_shapes(config, fsdp)
    # What the runtime takes for its first array on each device is no part of loading.
    jax.block_until_ready([jax.device_put(np.zeros(1), device) for device in jax.devices()])
    start = time.perf_counter()
    if way == "usual":
        path = directory / "model.safetensors"
        load = partial(load_the_usual_way, path, config, shapes)
    else:
        load = partial(load_part, part_of(open_model(directory), FAMILY, config, shapes))
    opened = time.perf_counter() - start
    params, seconds, peak = peak_of(load)
    check_split(params, shapes)
    shards = [shard for leaf in jax.tree.leaves(params) for shard in leaf.addressable_shards]
    held: dict[Any, int] = {}
    for shard in shards:
        held[shard.device] = held.get(shard.device, 0) + shard.data.nbytes
    return {
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(params)),
        "open_seconds": opened,
        "load_seconds": seconds,
        "on_devices": sum(held.values()),
        "on_one_device": max(held.values()),
        "beyond_parameters": peak["RssAnon"] - sum(held.values()),
        "mapped": peak["RssFile"],
    }


def measure_in_a_process(way: str, directory: Path, fsdp: int) -> dict[str, float]:
    """The same in a process of its own."""
    flags = f"--xla_force_host_platform_device_count={fsdp}"
    command = [sys.executable, "-m", "benchmarks.load_weights", f"--measure={way}"]
    result = subprocess.run(
        [*command, f"--directory={directory}", f"--fsdp={fsdp}"],
        env={**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags},
        capture_output=True,
        text=True,
    )
    if result.returncode:
        raise SystemExit(f"{way}: {result.stderr}")
    return json.loads(result.stdout.splitlines()[-1])


def compare(directory: Path, fsdp: int, repeats: int) -> dict[str, dict[str, float]]:
    """Writes what is missing and measures each way: least seconds and most memory of its processes."""
    config = tower_config()
    places = {"ours": directory / "safetensors", "usual": directory / "safetensors"}
    if not (places["ours"] / "model.safetensors").exists():
        write_model(places["ours"], config)
    if importlib.util.find_spec("torch"):
        places["torch"] = directory / "torch"
        if not (places["torch"] / "pytorch_model.bin").exists():
            write_torch_model(places["torch"], places["ours"])
    figures: dict[str, dict[str, float]] = {}
    for _ in range(repeats):
        for way, place in places.items():
            found = measure_in_a_process(way, place, fsdp)
            figures[way] = {
                name: (min if "seconds" in name else max)(value, figures.get(way, found)[name])
                for name, value in found.items()
            }
    return figures


def table(figures: Mapping[str, Mapping[str, float]]) -> str:
    """The figures in Markdown, memory in MB of a million bytes."""
    lines = [
        "| way | open and load s | of the usual way | on each device MB | own memory MB | of the usual way "
        "| of the mapped file MB |",
        "|---|---|---|---|---|---|---|",
    ]
    usual = figures["usual"]
    for way, found in figures.items():
        seconds, usual_seconds = (
            one["open_seconds"] + one["load_seconds"] for one in (found, usual)
        )
        memory = found["beyond_parameters"] / usual["beyond_parameters"]
        lines.append(
            f"| {WAYS[way]} | {seconds:.1f} | {seconds / usual_seconds:.0%} | "
            f"{found['on_one_device'] / 1e6:.0f} | {found['beyond_parameters'] / 1e6:.0f} | "
            f"{memory:.0%} | {found['mapped'] / 1e6:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Runs the benchmark, or one way of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--fsdp", type=int, default=8, help="simulated devices")
    parser.add_argument("--directory", type=Path, help="keeps the models; temporary unless given")
    parser.add_argument("--repeats", type=int, default=3, help="processes for each way")
    parser.add_argument("--out", type=Path, help="also write the figures to this JSON file")
    parser.add_argument("--measure", choices=[*WAYS], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure, arguments.directory, arguments.fsdp)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        directory = arguments.directory or Path(temporary)
        figures = compare(directory, arguments.fsdp, arguments.repeats)
    if any(found["parameters"] != PARAMETERS for found in figures.values()):
        raise SystemExit(f"not {PARAMETERS:,} parameters: {figures}")
    print(table(figures))
    if arguments.out:
        arguments.out.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
