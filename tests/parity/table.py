"""Prints how far every frozen oracle is from ours, in Markdown; needs neither torch nor transformers.

python -m tests.parity.table
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from geosurge_jax.input.examples import DecodedRecord, evaluation_views
from geosurge_jax.interop.families import clip_text, siglip_text
from geosurge_jax.interop.families.image_processor import read_preprocessing
from geosurge_jax.interop.geoclip import read_image_head, read_location_encoder
from geosurge_jax.interop.loading import load_part
from geosurge_jax.interop.model_directory import open_model
from geosurge_jax.interop.part import part_of
from geosurge_jax.models.location_encoder import LocationEncoder
from geosurge_jax.models.projection_head import ProjectionHead
from geosurge_jax.models.segformer import Segformer
from geosurge_jax.models.text import TextTower
from tests.parity.comparison import largest_differences, shapes_of, tower_errors
from tests.parity.oracle import FOLDER, Oracle, thaw
from tests.parity.segmentation import load_frozen

TEXTS = (clip_text.FAMILY, siglip_text.FAMILY)

Differences = dict[str, float]


def image_tower(oracle: Oracle, folder: Path) -> Differences:
    return tower_errors(oracle)


def segmenter(oracle: Oracle, folder: Path) -> Differences:
    """Intermediates and logits."""
    config, params = load_frozen(oracle)
    kept = {
        "pooled" if k == "logits" else k: v for k, v in oracle.expected.items() if "map" not in k
    }
    differences = largest_differences(with_expected(oracle, kept), Segformer(config), params)
    return {"logits" if path == "pooled" else path: value for path, value in differences.items()}


def text_tower(oracle: Oracle, folder: Path) -> Differences:
    stored = open_model(oracle.write_directory(folder))
    family = next(one for one in TEXTS if stored.config["model_type"] in one.model_types)
    config = family.read(stored.config, stored.preprocessor)
    module = TextTower(config)
    shapes = shapes_of(module, {"tokens": jnp.zeros((1, config.context), jnp.int32)})
    return largest_differences(oracle, module, load_part(part_of(stored, family, config, shapes)))


def only_file(oracle: Oracle, folder: Path) -> Path:
    folder.mkdir()
    ((name, content),) = oracle.weights.items()
    (folder / name).write_bytes(content.tobytes())
    return folder / name


def location_encoder(oracle: Oracle, folder: Path) -> Differences:
    config, params = read_location_encoder(only_file(oracle, folder), oracle.config["projection"])
    expected = {k: v for k, v in oracle.expected.items() if k != "plane"}
    return largest_differences(with_expected(oracle, expected), LocationEncoder(config), params)


def image_head(oracle: Oracle, folder: Path) -> Differences:
    config, params = read_image_head(only_file(oracle, folder))
    return largest_differences(oracle, ProjectionHead(config), params)


def with_expected(oracle: Oracle, expected: dict[str, np.ndarray]) -> Oracle:
    return Oracle(**{**vars(oracle), "expected": expected})


def image_processors(oracle: Oracle, folder: Path) -> Differences:
    """Levels of the squares, and of the normalised pixels."""
    differences = {}
    for path, expected in oracle.expected.items():
        name, photo = path.split("/")
        preprocessing = read_preprocessing(oracle.config["processors"][name], "")
        pixels = oracle.inputs[photo]
        if photo == "levels":
            image = jnp.asarray(pixels)[None]
            ours = preprocessing.normalize(image, jnp.dtype(jnp.float32))[0]
        else:
            record = DecodedRecord(pixels, np.zeros((1, 1), np.uint8), (0.0, 0.0), -1)
            ours = evaluation_views(record, 1, preprocessing.framing)[0][0]
        differences[path] = float(np.abs(np.asarray(ours, np.float64) - expected).max())
    return differences


def kind_of(oracle: Oracle) -> tuple[str, Callable[[Oracle, Path], Differences]]:
    """What part of ours an oracle is for, and how the two are compared."""
    if oracle.name.startswith("location_encoder"):
        return "location encoder", location_encoder
    if oracle.name == "geoclip_image_head":
        return "image head", image_head
    if oracle.name == "image_processors":
        return "image preprocessing", image_processors
    if oracle.name.startswith("segformer"):
        return "segmenter", segmenter
    if "tokens" in oracle.inputs:
        return "text tower", text_tower
    return "image tower", image_tower


def rows() -> list[str]:
    """A line of the table for each oracle."""
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for path in sorted(FOLDER.glob("*.npz")):
            oracle = thaw(path.stem)
            part, compare = kind_of(oracle)
            differences = compare(oracle, Path(folder) / oracle.name)
            worst = max(differences, key=differences.__getitem__)
            largest = float(np.abs(oracle.expected[worst].astype(np.float64)).max())
            types = sorted({str(np.asarray(oracle.expected[name]).dtype) for name in differences})
            lines.append(
                f"| {part} | {oracle.name} | {oracle.source} | {len(differences)} | "
                f"{differences[worst]:.1e} ({worst}, up to {largest:.1f}) | {', '.join(types)} |"
            )
    return sorted(lines)


def main():
    jax.config.update("jax_default_matmul_precision", "highest")
    print(
        "| part | oracle | source | named arrays | largest absolute difference | type of the oracle |"
    )
    print("|---|---|---|---|---|---|")
    print("\n".join(rows()))


if __name__ == "__main__":
    main()
