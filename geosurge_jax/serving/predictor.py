"""From an image to a place: `Predictor`."""

import functools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np

from geosurge_jax.experiment.trained_model import TrainedModel
from geosurge_jax.interop.hub import HubOptions
from geosurge_jax.interop.text_encoder import TextEncoder
from geosurge_jax.serving import images as image_sources
from geosurge_jax.serving.cache import cache_folder, keep_compiled_programs
from geosurge_jax.serving.description import describe_model
from geosurge_jax.serving.images import ImageError, ImageSource
from geosurge_jax.serving.inference import Answers, make_inference, put_padded
from geosurge_jax.serving.open_model import open_trained_model
from geosurge_jax.serving.prediction import FailedPrediction, ImagePosterior, Prediction
from geosurge_jax.serving.prepared_image import ImagePreparation, PreparedImage
from geosurge_jax.serving.segmentation import (
    ImageSegmenter,
    open_segmenter,
    recorded_segmenter,
)
from geosurge_jax.serving.text_query import open_text_encoder
from geosurge_jax.systems.contract import Prepared
from geosurge_jax.threads import batches_ahead

VIEWS = (1, 5, 10)


class Predictor:
    """Predicts where images were taken. Safe to use from several threads.

    Programs are compiled once for each bucket of batch sizes (1, 2, 4, ..., `batch_size`) and kept in the
    user's cache directory. Images are decoded in threads while the model computes.
    """

    def __init__(
        self,
        model: TrainedModel,
        *,
        views: int = 1,
        batch_size: int = 8,
        segmenter: ImageSegmenter | None = None,
        segmentation_problem: str = "",
        text_encoder: str = "",
        options: HubOptions | None = None,
    ):
        """Wraps an opened model; `from_pretrained` opens one by its name.

        Args:
            model: what answers.
            views: test-time views of each image, 1 (centre), 5 (corners and centre) or 10 (and mirrored).
            batch_size: the most images computed at a time.
            segmenter: makes segmentation maps of images that come without one; None for none.
            segmentation_problem: why there is no segmenter, for the warning of such images.
            text_encoder: directory or hub name of the CLIP that `query` uses; empty for the model's own.
            options: how files of the hub are fetched.

        Raises:
            ValueError: an option is out of range; one line.
        """
        if views not in VIEWS:
            raise ValueError(f"views={views}: expected one of {VIEWS}")
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size}: expected 1 or more")
        self.model = model
        self.views = views
        self.batch_size = batch_size
        self._inference = make_inference(model, batch_size)
        self._preparation = ImagePreparation(
            preprocessing=model.system.preprocessing,
            views=views,
            segmenter=segmenter if model.system.reads_segmentation else None,
            reads_segmentation=model.system.reads_segmentation,
            problem=segmentation_problem,
        )
        self._text_encoder_source = text_encoder
        self._options = options or HubOptions()
        self._lock = threading.Lock()

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path,
        *,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        dtype: str | None = None,
        gallery: str | Path | None = None,
        backbone: str | Path | None = None,
        segmenter: str | Path | None = None,
        text_encoder: str | Path | None = None,
        views: int = 1,
        batch_size: int = 8,
    ) -> "Predictor":
        """Opens a model by its name or directory.

        Args:
            model: directory of a run, of an exported model or of a GeoCLIP release; the folder `model` of an
                installed `geoclip` package; a published name such as "geoclip"; or "hf:ORG/NAME[@REVISION]".
                Only a published name or "hf:" downloads anything.
            revision: branch, tag or commit on the hub, where the name gives none.
            cache_dir: folder for downloads, compiled programs and gallery vectors; None for the user's own.
            local_files_only: use what was downloaded earlier and nothing else.
            dtype: compute type, "float32" or "bfloat16"; None for float32 on CPUs and elsewhere for what the
                system was trained with.
            gallery: CSV file with the columns LAT and LON, places that replace the model's own gallery.
            backbone: directory or "hf:ORG/NAME" of the frozen CLIP of a GeoCLIP release.
            segmenter: directory or "hf:ORG/NAME" of a segmentation model, in place of the recorded one.
            text_encoder: directory or "hf:ORG/NAME" of the CLIP that `query` uses.
            views: test-time views of each image: 1, 5 or 10.
            batch_size: the most images computed at a time.

        Raises:
            WeightsError: the model is not there, or a file of it is missing, damaged or of another model.
            ValueError: an option is out of range, or the model does not have it; one line each.
        """
        cache = None if cache_dir is None else Path(cache_dir)
        keep_compiled_programs(cache_folder(cache))
        options = HubOptions(revision, cache, local_files_only)
        opened = open_trained_model(
            str(model),
            options=options,
            dtype=dtype,
            gallery=None if gallery is None else Path(gallery),
            backbone=None if backbone is None else str(backbone),
        )
        bucket = make_inference(opened, batch_size).buckets[-1]
        if segmenter is None:
            maps, problem = recorded_segmenter(opened, bucket, options)
        else:
            maps, problem = open_segmenter(str(segmenter), bucket, options), ""
        return cls(
            opened,
            views=views,
            batch_size=batch_size,
            segmenter=maps,
            segmentation_problem=problem,
            text_encoder="" if text_encoder is None else str(text_encoder),
            options=options,
        )

    def __repr__(self) -> str:
        provenance = self.model.provenance
        return (
            f"Predictor({provenance.name!r}, system={self.model.system.name!r}, views={self.views})"
        )

    def predict(self, images: Any, *, segmentation_maps: Any = None) -> Any:
        """Predicts where one image was taken, or each of several.

        Args:
            images: one image: a file's name, its bytes, a PIL image, or an array uint8 `[H, W, 3]`.
                Several: a folder, or any iterable of images, which is read lazily.
            segmentation_maps: ADE20K's classes for systems that read them. For one image its map: a PNG
                file's name, its bytes, or an array uint8 `[H, W]`. For several a sequence with a map or
                None for each. For both also a folder, where the map of `NAME.jpg` is `NAME.png`.

        Returns:
            For one image its `Prediction`; for several an iterator of `Prediction`, in order, with a
            `FailedPrediction` for each image that cannot be read.

        Raises:
            ImageError: the one image cannot be read; one line.
        """
        if image_sources.is_one_image(images):
            prepared = self._preparation.prepare(images, 1, segmentation_maps, thumbnail=True)
            return self._answer([prepared])[0]
        return self._stream(images, segmentation_maps, self._answer)

    def embed(self, images: Any, *, segmentation_maps: Any = None) -> Any:
        """Returns the vector that the system compares images by, float32 `[E]`.

        That is GeoCLIP's vector in the space of places, GeoSURGE's visual vector v, the embedding of kNN,
        and the pooled vector of the image encoder for systems without such a space.

        Args:
            images: as of `predict`.
            segmentation_maps: as of `predict`.

        Returns:
            For one image its vector; for several an iterator of vectors and `FailedPrediction`, in order.
        """
        if image_sources.is_one_image(images):
            return self._vectors([self._preparation.prepare(images, 1, segmentation_maps)])[0]
        return self._stream(images, segmentation_maps, self._vectors)

    def query(self, sentences: str | Sequence[str]) -> Any:
        """Predicts where a sentence describes, for a system that shares a space with texts (GeoCLIP).

        Args:
            sentences: one sentence, or several.

        Returns:
            A `Prediction`, or a list of them.

        Raises:
            ValueError: the system has no such space, or the text encoder does not fit it; one line.
        """
        asked = [sentences] if isinstance(sentences, str) else [*sentences]
        query = self._inference.query
        if query is None:
            raise ValueError(
                f"model {self.model.provenance.name!r}: the system {self.model.system.name!r} has no common "
                "space with texts"
            )
        vectors = self._text_encoder.vectors(asked)
        predictions: list[Prediction] = []
        for first in range(0, len(asked), self._inference.buckets[-1]):
            part = vectors[first : first + self._inference.buckets[-1]]
            size = self._inference.bucket(len(part))
            with jax.set_mesh(self.model.mesh):
                batch = put_padded(self.model, {"vectors": part}, size)["vectors"]
                answers = jax.device_get(query(self.model.params, self._prepared, batch))
            names = asked[first : first + len(part)]
            predictions += [self._prediction(n, answers, row) for row, n in enumerate(names)]
        return predictions[0] if isinstance(sentences, str) else predictions

    def describe(self) -> dict[str, str]:
        """Returns what is known of the model, as rows (name, value) for people."""
        return describe_model(self.model, self.views)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings that hold for every prediction of this model."""
        return self.model.provenance.warnings

    @functools.cached_property
    def _computed(self) -> Prepared:
        return self.model.precompute(self.model.params)

    @property
    def _prepared(self) -> Prepared:
        """What the posterior needs besides the image; computed once, by the first thread that asks."""
        with self._lock:
            return self._computed

    @functools.cached_property
    def _text_encoder(self) -> TextEncoder:
        return open_text_encoder(self.model, self._text_encoder_source, self._options)

    def _stream(
        self,
        images: Any,
        segmentation_maps: Any,
        compute: Callable[[Sequence[PreparedImage]], list[Any]],
    ) -> Iterator[Any]:
        """Prepares images in threads while others are computed; holds a few batches at a time."""
        maps = image_sources.map_for_each(segmentation_maps)

        def prepare(item: tuple[int, ImageSource]) -> PreparedImage | FailedPrediction:
            number, source = item
            try:
                return self._preparation.prepare(source, number, maps(number))
            except ImageError as error:
                return FailedPrediction(image_sources.readable_name(source, number), str(error))

        numbered = enumerate(image_sources.iterate_images(images), start=1)
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            for batch in batches_ahead(prepare, numbered, self._inference.buckets[-1], pool):
                readable = [one for one in batch if isinstance(one, PreparedImage)]
                computed = iter(compute(readable) if readable else ())
                for one in batch:
                    yield next(computed) if isinstance(one, PreparedImage) else one

    def _batch(self, images: Sequence[PreparedImage]) -> dict[str, jax.Array]:
        size = self._inference.bucket(len(images))
        return put_padded(self.model, self._preparation.host_batch(images), size)

    def _answer(self, images: Sequence[PreparedImage]) -> list[Prediction]:
        with jax.set_mesh(self.model.mesh):
            prepared = self._prepared
            answers = jax.device_get(
                self._inference.answer(self.model.params, prepared, self._batch(images))
            )
        return [self._prediction(one.name, answers, row, one) for row, one in enumerate(images)]

    def _vectors(self, images: Sequence[PreparedImage]) -> list[np.ndarray]:
        with jax.set_mesh(self.model.mesh):
            found = jax.device_get(self._inference.embed(self.model.params, self._batch(images)))
        return [*found[: len(images)]]

    def _prediction(
        self, name: str, answers: Answers, row: int, image: PreparedImage | None = None
    ) -> Prediction:
        shared = answers.latlng.ndim == 2
        decided = answers.decided[row]
        return Prediction(
            image=name,
            latlng=(float(decided[0]), float(decided[1])),
            posterior=ImagePosterior(
                answers.latlng if shared else answers.latlng[row], answers.log_prob[row]
            ),
            decision=self.model.decision,
            warnings=(*self.warnings, *(image.warnings if image else ())),
            model=self.model.provenance.name,
            thumbnail=image.thumbnail if image else None,
        )
