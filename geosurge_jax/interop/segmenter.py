"""A segmenter of others: photos to class maps by a published SegFormer."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from geosurge_jax.dataset.manifest import file_sha256
from geosurge_jax.interop.families.segformer import FAMILY
from geosurge_jax.interop.family import WeightsError
from geosurge_jax.interop.foreign_file import quoted
from geosurge_jax.interop.hub import model_directory
from geosurge_jax.interop.loading import load_part
from geosurge_jax.interop.model_directory import StoredModel, open_model
from geosurge_jax.interop.part import part_of, read_config
from geosurge_jax.models.class_maps import canvas_size, class_maps, cut_map
from geosurge_jax.models.preprocessing import Preprocessing
from geosurge_jax.models.segformer import Segformer, SegformerConfig
from geosurge_jax.systems.contract import Params
from geosurge_jax.training.mesh import put_batch


@dataclass(frozen=True)
class Segmenter:
    """A SegFormer with its parameters.

    Attributes:
        config: its choices.
        params: its parameters, float32, a copy on each device of the mesh.
        mesh: over whose devices photos are split.
        identity: SHA-256 of each of its files by name: what decides its maps.
    """

    config: SegformerConfig
    params: Params
    mesh: Mesh
    identity: dict[str, str]

    @property
    def module(self) -> Segformer:
        """Photos uint8 `[B, S, S, 3]` to logits `[B, ceil(S / 4), ceil(S / 4), C]`."""
        return Segformer(self.config)

    @property
    def preprocessing(self) -> Preprocessing:
        """How photos come to it."""
        return self.config.preprocessing

    @property
    def class_names(self) -> tuple[str, ...]:
        """Of its C classes, in the order of their ids."""
        return self.config.class_names

    def maps(
        self, image: np.ndarray, sizes: Sequence[tuple[int, int]], short_side: int
    ) -> list[np.ndarray]:
        """Segments B photos; compiled once for each B, and its last step for each canvas.

        Args:
            image: squares as `preprocessing` makes them, uint8 `[B, S, S, 3]`; B is a multiple of the
                devices.
            sizes: height and width of the map of each photo.
            short_side: of the largest map in pixels.

        Returns:
            Class ids, uint8 `[height, width]`, of each photo.
        """
        canvas = canvas_size(sizes, short_side)
        with jax.set_mesh(self.mesh):
            batch = put_batch(self.mesh, {"image": image, "sizes": np.array(sizes, np.int32)})
            logits = _logits(self.config, self.params, batch["image"])
            found = np.asarray(_class_maps(logits, batch["sizes"], canvas))
        return [cut_map(one, size) for one, size in zip(found, sizes, strict=True)]


@partial(jax.jit, static_argnums=0)
def _logits(config: SegformerConfig, params: Params, image: jax.Array) -> Any:
    return Segformer(config).apply({"params": params}, image)


_class_maps = jax.jit(class_maps, static_argnums=2)


def load_segmenter(source: str, key: str, mesh: Mesh) -> Segmenter:
    """Opens a SegFormer in Hugging Face's layout, its own or one that `write_model` wrote.

    Args:
        source: a directory, or "hf:ORG/NAME" with an optional "@REVISION".
        key: the flag that says so, for messages.
        mesh: over whose devices photos will be split.

    Raises:
        WeightsError: it is not there, is another model, or its files are missing or damaged.
    """
    stored = open_model(model_directory(source, key))
    kind = stored.config.get("model_type")
    if kind not in FAMILY.model_types:
        raise WeightsError(
            f"{stored.directory / 'config.json'}: model_type={quoted(kind)}: expected one of "
            f"{[*FAMILY.model_types]}"
        )
    config: SegformerConfig = read_config(stored, FAMILY)
    part = part_of(stored, FAMILY, config, _shapes(config, mesh))
    return Segmenter(config, load_part(part), mesh, _identity(stored))


def _shapes(config: SegformerConfig, mesh: Mesh) -> Params:
    side = config.preprocessing.image_size
    image = jax.ShapeDtypeStruct((1, side, side, 3), jnp.uint8)
    shapes = jax.eval_shape(Segformer(config).init, jax.random.key(0), image)["params"]
    everywhere = NamedSharding(mesh, PartitionSpec())
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=everywhere), shapes
    )


def _identity(stored: StoredModel) -> dict[str, str]:
    descriptions = ("config.json", "preprocessor_config.json")
    files = {Path(path) for path in stored.files.values()}
    files |= {
        stored.directory / name for name in descriptions if (stored.directory / name).is_file()
    }
    return {path.name: file_sha256(path) for path in sorted(files)}
