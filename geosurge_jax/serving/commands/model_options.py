"""Options that open a model, shared by the subcommands."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geosurge_jax.command_end import interrupted_at_once
from geosurge_jax.serving.commands.exit_codes import model_errors

if TYPE_CHECKING:
    from geosurge_jax.serving.predictor import Predictor

ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="MODEL",
        help="A run directory, an exported model, a GeoCLIP release, a name of `geosurge models`, or "
        "hf:ORG/NAME[@REVISION]. Only the last two download anything.",
    ),
]
CacheDirOption = Annotated[
    Path | None,
    typer.Option(
        help="Folder for downloads and compiled programs; default: the user's cache folders."
    ),
]
LocalFilesOnlyOption = Annotated[
    bool, typer.Option("--local-files-only", help="Download nothing; use what is there.")
]
RevisionOption = Annotated[
    str | None, typer.Option(help="Branch, tag or commit of a model on the hub.")
]
DtypeOption = Annotated[
    str | None,
    typer.Option(
        metavar="float32|bfloat16",
        help="Compute type; default: float32 on CPUs, elsewhere as trained.",
    ),
]
BackboneOption = Annotated[
    str | None,
    typer.Option(metavar="DIR", help="Folder or hf:ORG/NAME of the CLIP of a GeoCLIP release."),
]
SegmenterOption = Annotated[
    str | None,
    typer.Option(
        metavar="DIR",
        help="Folder or hf:ORG/NAME of a segmentation model, in place of the one that was recorded.",
    ),
]
BatchSizeOption = Annotated[
    int, typer.Option(min=1, metavar="N", help="The most images computed at a time.")
]


@dataclass(frozen=True)
class ModelOptions:
    """Options of `Predictor.from_pretrained`, which describes them; the same names and defaults."""

    revision: str | None = None
    cache_dir: Path | None = None
    local_files_only: bool = False
    dtype: str | None = None
    gallery: Path | None = None
    backbone: str | None = None
    segmenter: str | None = None
    text_encoder: str | None = None
    views: int = 1
    batch_size: int = 8

    def settings(self) -> dict[str, Any]:
        """Returns those that decide results, by the name of their option; values for JSON."""
        return {
            "--revision": self.revision,
            "--dtype": self.dtype,
            "--gallery": None if self.gallery is None else str(self.gallery),
            "--backbone": self.backbone,
            "--segmenter": self.segmenter,
            "--views": self.views,
        }


def open_predictor(model: str, options: ModelOptions) -> "Predictor":
    """Opens a model; an error ends the command in one line."""
    with interrupted_at_once():
        from geosurge_jax.serving.predictor import Predictor

    with model_errors():
        return Predictor.from_pretrained(model, **vars(options))
