"""The `geosurge` command. Its help appears without importing JAX; the subcommands import it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from geosurge_jax.command_end import ExitCode, NothingDoneError, one_line_errors, version_text
from geosurge_jax.serving.commands.exit_codes import fail, model_errors
from geosurge_jax.serving.commands.forwarding import add_run_modes
from geosurge_jax.serving.commands.help_text import epilog
from geosurge_jax.serving.commands.model_options import (
    BackboneOption,
    BatchSizeOption,
    CacheDirOption,
    DtypeOption,
    LocalFilesOnlyOption,
    ModelOption,
    ModelOptions,
    RevisionOption,
    SegmenterOption,
    open_predictor,
)
from geosurge_jax.serving.commands.result_options import (
    FormatOption,
    Images,
    MapsOption,
    TopKOption,
    ViewsOption,
    check_folder,
    chosen_format,
)

if TYPE_CHECKING:
    from geosurge_jax.serving.commands.image_names import NamedImages


class _Commands(TyperGroup):
    """Runs a subcommand so that its errors end in one line, before Typer's own handling of Ctrl-C."""

    def invoke(self, ctx: typer.Context) -> Any:
        """Runs the subcommand that `ctx` names."""
        with one_line_errors():
            return super().invoke(ctx)


app = typer.Typer(
    name="geosurge",
    cls=_Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Runs the command."""
    app(prog_name="geosurge")


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(version_text())
        raise typer.Exit


@app.callback(epilog=epilog("geosurge"))
def _geosurge(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the versions of the stack and exit.",
        ),
    ] = False,
) -> None:
    """Predict where images were taken."""


@app.command(epilog=epilog("predict"))
def predict(
    photos: Images,
    model: ModelOption,
    form: FormatOption = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a file, resumably; default: stdout."),
    ] = None,
    top_k: TopKOption = 5,
    views: ViewsOption = 1,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue interrupted work on --out.")
    ] = False,
    compare_exif: Annotated[
        bool,
        typer.Option("--compare-exif", help="Print the distance to the GPS position in EXIF."),
    ] = False,
    sidecar: Annotated[
        bool, typer.Option("--sidecar", help="Write an XMP file beside each image.")
    ] = False,
    gallery: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="CSV file of places with the columns LAT and LON."),
    ] = None,
    backbone: BackboneOption = None,
    segmenter: SegmenterOption = None,
    segmentation_maps: MapsOption = None,
    batch_size: BatchSizeOption = 8,
    cache_dir: CacheDirOption = None,
    local_files_only: LocalFilesOnlyOption = False,
    revision: RevisionOption = None,
    dtype: DtypeOption = None,
) -> None:
    """Predict where images were taken."""
    form = chosen_format(form, out)
    if resume and out is None:
        raise typer.BadParameter(
            "needs --out, beside which the journal lies", param_hint="--resume"
        )
    check_folder(out)
    named = _named_images(photos, segmentation_maps)
    options = ModelOptions(
        revision,
        cache_dir,
        local_files_only,
        dtype,
        gallery,
        backbone,
        segmenter,
        None,
        views,
        batch_size,
    )
    predictor = open_predictor(model, options)
    from geosurge_jax.serving.commands import predicting

    maps = None if segmentation_maps is None else str(segmentation_maps)
    settings = {
        "--model": model,
        "--top-k": top_k,
        **options.settings(),
        "--segmentation-maps": maps,
    }
    job = predicting.PredictJob(
        named, form, top_k, out, resume, segmentation_maps, compare_exif, sidecar, settings
    )
    raise typer.Exit(predicting.predict(predictor, job))


@app.command(epilog=epilog("query"))
def query(
    sentences: Annotated[
        list[str],
        typer.Argument(metavar="SENTENCE", help="Descriptions of places.", show_default=False),
    ],
    model: ModelOption,
    text_encoder: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Folder or hf:ORG/NAME of the CLIP whose image encoder the model has.",
        ),
    ] = None,
    form: FormatOption = None,
    top_k: TopKOption = 5,
    backbone: BackboneOption = None,
    cache_dir: CacheDirOption = None,
    local_files_only: LocalFilesOnlyOption = False,
    revision: RevisionOption = None,
) -> None:
    """Predict what places sentences describe (GeoCLIP)."""
    options = ModelOptions(
        revision, cache_dir, local_files_only, backbone=backbone, text_encoder=text_encoder
    )
    predictor = open_predictor(model, options)
    from geosurge_jax.serving.formats import write_outcomes

    with model_errors():
        found = predictor.query(sentences)
    write_outcomes(form or "table", found, top_k, sys.stdout)
    failed = sum(outcome.error is not None for outcome in found)
    if failed == len(found):
        raise NothingDoneError(f"none of {failed} sentences could be placed")
    raise typer.Exit(ExitCode.SOME_FAILED if failed else ExitCode.OK)


@app.command(epilog=epilog("embed"))
def embed(
    photos: Images,
    model: ModelOption,
    out: Annotated[Path, typer.Option(metavar="FILE.npz", help="NumPy archive to write.")],
    views: ViewsOption = 1,
    backbone: BackboneOption = None,
    segmenter: SegmenterOption = None,
    segmentation_maps: MapsOption = None,
    batch_size: BatchSizeOption = 8,
    cache_dir: CacheDirOption = None,
    local_files_only: LocalFilesOnlyOption = False,
    revision: RevisionOption = None,
    dtype: DtypeOption = None,
) -> None:
    """Write the vectors of images: `vectors` float32 [M, E] and their names `images` [M]."""
    if out.suffix != ".npz":
        raise typer.BadParameter(f"{out}: expected a name that ends in .npz", param_hint="--out")
    check_folder(out)
    named = _named_images(photos, segmentation_maps)
    options = ModelOptions(
        revision,
        cache_dir,
        local_files_only,
        dtype,
        None,
        backbone,
        segmenter,
        None,
        views,
        batch_size,
    )
    predictor = open_predictor(model, options)
    from geosurge_jax.serving.commands import embedding

    raise typer.Exit(embedding.embed(predictor, named.names, out, segmentation_maps))


@app.command(epilog=epilog("models"))
def models() -> None:
    """List published models that open by name, with license and size of the download."""
    from geosurge_jax.serving.catalogue import MODELS

    for one in MODELS:
        typer.echo(f"{one.name}\n  {one.description}")
        typer.echo(f"  {one.source}, {one.license}, {one.size_bytes / 1e6:,.0f} MB")


@app.command(epilog=epilog("info"))
def info(
    model: Annotated[str, typer.Argument(metavar="MODEL", show_default=False)],
    backbone: BackboneOption = None,
    cache_dir: CacheDirOption = None,
    local_files_only: LocalFilesOnlyOption = False,
    revision: RevisionOption = None,
) -> None:
    """Describe a model: system, training data, license, image size."""
    options = ModelOptions(revision, cache_dir, local_files_only, backbone=backbone)
    rows = open_predictor(model, options).describe()
    width = max(map(len, rows)) + 2
    for name, value in rows.items():
        typer.echo(f"{name + ':':{width}s}{value}")


def _named_images(photos: list[str], maps: Path | None) -> "NamedImages":
    from geosurge_jax.input.image_files import account
    from geosurge_jax.serving.commands.image_names import image_names

    named = image_names(photos, sys.stdin.buffer, maps)
    if not named.names:
        line = account("placed", 0, {}, named.skipped)
        raise fail(f"{' '.join(photos)}: no image here ({line})", ExitCode.USAGE)
    return named


add_run_modes(app)
