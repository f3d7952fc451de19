"""Any semantic segmentation model of transformers as a segmenter; the one file that imports it.

torch and transformers are no dependencies of the project: the extra [segment] has them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from geosurge_jax.dataset.manifest import file_sha256
from geosurge_jax.interop.families.segformer import class_names
from geosurge_jax.interop.hub import HUB

_MISSING = (
    "--library transformers: torch and transformers are not installed; "
    'pip install "geosurge_jax[segment]"'
)


class LibrarySegmenter:
    """A model of transformers, on a GPU that torch sees or on the CPU, one photo at a time.

    Photos of one batch would be padded to the size of the largest, which the library's own postprocessing
    does not undo.
    """

    def __init__(self, source: str):
        """Open the model.

        Args:
            source: A directory, or "hf:ORG/NAME" with an optional "@REVISION".

        Raises:
            ValueError: The library is not installed, or cannot open the model.
        """
        try:
            import torch  # pyright: ignore[reportMissingImports]
            import transformers  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise ValueError(_MISSING) from None
        name, _, revision = source.removeprefix(HUB).partition("@")
        place: dict[str, Any] = {"pretrained_model_name_or_path": name}
        if not source.startswith(HUB):
            place["pretrained_model_name_or_path"] = source
            if not Path(source).is_dir():
                raise ValueError(f"--model={source!r}: no such directory")
        elif revision:
            place["revision"] = revision
        try:
            config = transformers.AutoConfig.from_pretrained(**place)
            universal = type(config) in transformers.MODEL_FOR_UNIVERSAL_SEGMENTATION_MAPPING
            kind = "Universal" if universal else "Semantic"
            loader = getattr(transformers, f"AutoModelFor{kind}Segmentation")
            self._model = loader.from_pretrained(**place).eval()
            # OneFormer is told its task in words, so it needs its tokenizer too.
            self._task = ["semantic"] if config.model_type == "oneformer" else None
            processor = (
                transformers.AutoProcessor if self._task else transformers.AutoImageProcessor
            )
            self._processor = processor.from_pretrained(**place)
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"--model={source!r}: {reason}") from None
        self._torch = torch
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model.to(self._device)
        self.class_names: Sequence[str] = class_names(config.to_dict())
        self.identity: Any = {
            "library": f"transformers {transformers.__version__}, torch {torch.__version__}",
            "model": _identity(source, config),
        }

    def prepare(self, pixels: np.ndarray) -> np.ndarray:
        """The photo as it is; the model's processor takes it from there."""
        return pixels

    def maps(
        self, photos: Sequence[np.ndarray], sizes: Sequence[tuple[int, int]]
    ) -> list[np.ndarray]:
        """Class ids [height, width] of photos uint8 [H, W, 3], of the sizes asked for."""
        return [self._map(photo, size) for photo, size in zip(photos, sizes, strict=True)]

    def _map(self, photo: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        task = {"task_inputs": self._task} if self._task else {}
        inputs = self._processor(images=[photo], return_tensors="pt", **task).to(self._device)
        with self._torch.no_grad():
            outputs = self._model(**inputs)
        found = self._processor.post_process_semantic_segmentation(outputs, target_sizes=[size])
        return found[0].cpu().numpy()


def _identity(source: str, config: Any) -> Any:
    """What decides its maps: the files of a directory, or the name and revision on the hub."""
    if source.startswith(HUB):
        return f"{source.removeprefix(HUB).partition('@')[0]}@{config._commit_hash}"
    files = [path for path in sorted(Path(source).iterdir()) if path.is_file()]
    return {path.name: file_sha256(path) for path in files}
