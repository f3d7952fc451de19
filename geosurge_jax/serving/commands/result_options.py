"""Images as arguments, and options for the results, shared by the subcommands."""

from pathlib import Path
from typing import Annotated

import typer

from geosurge_jax.serving.formats import FORMATS

# As of the Predictor, which is not imported for the help.
VIEWS = (1, 5, 10)


def _known_format(name: str | None) -> str | None:
    if name is not None and name not in FORMATS:
        raise typer.BadParameter(f"{name!r}: expected one of {', '.join(FORMATS)}")
    return name


def _known_views(views: int) -> int:
    if views not in VIEWS:
        raise typer.BadParameter(f"{views}: expected one of {', '.join(map(str, VIEWS))}")
    return views


Images = Annotated[
    list[str],
    typer.Argument(
        metavar="PHOTOS",
        help="Files, folders, patterns such as 'trip/**/*.jpg', or - for names on stdin, separated by "
        "line feeds or NUL bytes.",
        show_default=False,
    ),
]
FormatOption = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="|".join(FORMATS),
        callback=_known_format,
        autocompletion=lambda: [*FORMATS],
        help="Default: by the name of --out, else table.",
    ),
]
TopKOption = Annotated[int, typer.Option(min=1, metavar="K", help="Candidates of each image.")]
ViewsOption = Annotated[
    int,
    typer.Option(
        metavar="1|5|10",
        callback=_known_views,
        help="Test-time views: centre; corners and centre; these and mirrored.",
    ),
]
MapsOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        exists=True,
        file_okay=False,
        help="Folder of segmentation maps: NAME.png for NAME.jpg.",
    ),
]


def chosen_format(form: str | None, out: Path | None) -> str:
    """Returns the name in `FORMATS` that was given, or that the output file's name ends in."""
    if form is not None or out is None:
        return form or "table"
    by_name = out.suffix.removeprefix(".")
    if by_name not in FORMATS:
        raise typer.BadParameter(
            f"{out}: expected --format, or a name that ends in one of "
            f"{', '.join(f'.{name}' for name in FORMATS)}",
            param_hint="--out",
        )
    return by_name


def check_folder(out: Path | None) -> None:
    """Ends the command where the folder of the output file does not exist."""
    if out is not None and not out.parent.is_dir():
        raise typer.BadParameter(f"{out}: {out.parent} is no folder", param_hint="--out")
