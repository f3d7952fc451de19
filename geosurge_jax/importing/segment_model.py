"""Photos of a dataset -> class maps by a segmenter, decoded ahead of it in threads."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import jax
import numpy as np

from geosurge_jax.dataset.rewritten_shard import NewMap
from geosurge_jax.dataset.shards import StoredRecord
from geosurge_jax.input.geometry import WHOLE
from geosurge_jax.input.images import ImageDecodeError, decode_image, resize_crop
from geosurge_jax.input.plain_png import write_plain_png
from geosurge_jax.interop.segmenter import Segmenter, load_segmenter
from geosurge_jax.models.class_maps import map_size
from geosurge_jax.threads import batches_ahead
from geosurge_jax.training.mesh import MeshConfig, make_mesh

_Size = tuple[int, int]


class PhotoSegmenter(Protocol):
    """What makes class maps of photos."""

    @property
    def class_names(self) -> Sequence[str]:
        """Of its C classes, in the order of their ids."""
        ...

    @property
    def identity(self) -> Any:
        """JSON value: what decides its maps."""
        ...

    def prepare(self, pixels: np.ndarray) -> np.ndarray:
        """A photo uint8 [H, W, 3] as the segmenter takes it; called in threads."""
        ...

    def maps(self, photos: Sequence[np.ndarray], sizes: Sequence[_Size]) -> list[np.ndarray]:
        """Class ids [height, width] of prepared photos, of the sizes asked for."""
        ...


class NativeSegmenter:
    """A SegFormer on all devices of this process."""

    def __init__(self, source: str, batch_size: int, short_side: int):
        """Open the model.

        Args:
            source: A directory, or "hf:ORG/NAME".
            batch_size: Photos of a batch.
            short_side: Of a map in pixels, at most.

        Raises:
            ValueError: The model is not one that can be read, or the devices do not divide a batch.
        """
        # Other processes have other shards, and nothing to tell this one.
        mesh = make_mesh(MeshConfig(-1, 1, 1), jax.local_devices())
        if batch_size < 1 or batch_size % mesh.size:
            raise ValueError(
                f"{batch_size} photos a batch, expected a multiple of the {mesh.size} devices "
                "(--batch-size)"
            )
        self._segmenter: Segmenter = load_segmenter(source, "--model", mesh)
        self._batch_size = batch_size
        self._short_side = short_side

    @property
    def class_names(self) -> Sequence[str]:
        """Of its C classes, in the order of their ids."""
        return self._segmenter.class_names

    @property
    def identity(self) -> Any:
        """SHA-256 of its files."""
        return self._segmenter.identity

    def prepare(self, pixels: np.ndarray) -> np.ndarray:
        """The whole photo, stretched to the model's square."""
        made = self._segmenter.preprocessing
        side = made.image_size
        return resize_crop(pixels, WHOLE, (side, side), made.interpolation)

    def maps(self, photos: Sequence[np.ndarray], sizes: Sequence[_Size]) -> list[np.ndarray]:
        """Class ids, uint8 [height, width], of at most a batch of photos."""
        batch = np.zeros((self._batch_size, *photos[0].shape), np.uint8)
        batch[: len(photos)] = photos
        filled = [*sizes, *[(1, 1)] * (self._batch_size - len(photos))]
        return self._segmenter.maps(batch, filled, self._short_side)[: len(photos)]


class ModelMaps:
    """Class maps of the records of a shard."""

    def __init__(
        self,
        segmenter: PhotoSegmenter,
        table: np.ndarray,
        batch_size: int,
        short_side: int,
        threads: int,
    ):
        """Say how maps are made.

        Args:
            segmenter: Makes them.
            table: Our id of each of its classes, uint8 [C].
            batch_size: Photos given to it at a time.
            short_side: Of a map in pixels, at most.
            threads: Photos decoded, and maps encoded, at a time.
        """
        self._segmenter = segmenter
        self._table = table
        self._batch_size = batch_size
        self._short_side = short_side
        self._threads = threads

    def __call__(self, records: Iterator[StoredRecord]) -> Iterator[NewMap]:
        """The map of each record, in order; a batch is decoded while another is segmented."""
        with ThreadPoolExecutor(self._threads) as pool:
            for prepared in batches_ahead(self._prepare, records, self._batch_size, pool):
                yield from self._maps(prepared, pool)

    def _prepare(self, record: StoredRecord) -> "_Prepared":
        try:
            pixels = decode_image(record.image)
        except ImageDecodeError as error:
            return f"unreadable image: {error}"
        size = map_size(pixels.shape[0], pixels.shape[1], self._short_side)
        return self._segmenter.prepare(pixels), size

    def _maps(self, prepared: Sequence["_Prepared"], pool: ThreadPoolExecutor) -> Iterator[NewMap]:
        photos = [one for one in prepared if not isinstance(one, str)]
        maps: list[np.ndarray] = []
        if photos:
            maps = self._segmenter.maps(
                [photo for photo, _ in photos], [size for _, size in photos]
            )
        encoded = pool.map(lambda found: write_plain_png(self._table[found]), maps)
        for one in prepared:
            yield NewMap(None, one) if isinstance(one, str) else NewMap(next(encoded))


_Prepared = tuple[np.ndarray, _Size] | str
