"""A page of tables and pictures, as markdown with pictures beside it and as HTML that needs nothing else."""

import base64
import html
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from geosurge_jax.evaluation.tables import Table
from geosurge_jax.geo import atomic_file


@dataclass(frozen=True)
class Picture:
    """A PNG with its caption.

    Attributes:
        file_name: beside the markdown.
        caption: one sentence.
        png: its bytes.
    """

    file_name: str
    caption: str
    png: bytes


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it.

    Attributes:
        heading: one line.
        parts: tables and pictures in order.
        folded: whether HTML shows the heading alone until it is asked for more.
    """

    heading: str
    parts: tuple[Table | Picture, ...]
    folded: bool = False


def write_page(
    directory: str | os.PathLike, title: str, sections: Sequence[Section]
) -> tuple[Path, Path]:
    """Writes report.md with its pictures beside it, and report.html with its pictures inside.

    Each file is written atomically.

    Args:
        directory: an existing folder.
        title: first line.
        sections: in order.

    Returns:
        Paths of report.md and report.html.

    Raises:
        OSError: a file cannot be written.
    """
    directory = Path(directory)
    markdown, page = directory / "report.md", directory / "report.html"
    for section in sections:
        for part in section.parts:
            if isinstance(part, Picture):
                _write(directory / part.file_name, part.png)
    _write(markdown, _markdown(title, sections).encode())
    _write(page, _html(title, sections).encode())
    return markdown, page


def _write(path: Path, content: bytes) -> None:
    with atomic_file(path) as file:
        file.write(content)


def _markdown(title: str, sections: Sequence[Section]) -> str:
    lines = [f"# {title}", ""]
    for section in sections:
        lines += [f"## {section.heading}", ""]
        for part in section.parts:
            if isinstance(part, Picture):
                lines += [f"![{part.caption}]({part.file_name})", ""]
            else:
                lines += [part.markdown(), ""]
    return "\n".join(lines).rstrip() + "\n"


def _html(title: str, sections: Sequence[Section]) -> str:
    body = "\n".join(_html_section(section) for section in sections)
    return _PAGE.format(title=html.escape(title), style=_STYLE, body=body)


def _html_section(section: Section) -> str:
    content = "\n".join(
        _html_picture(part) if isinstance(part, Picture) else part.html() for part in section.parts
    )
    heading = html.escape(section.heading)
    if section.folded:
        return f"<details><summary><h2>{heading}</h2></summary>\n{content}</details>"
    return f"<section><h2>{heading}</h2>\n{content}</section>"


def _html_picture(picture: Picture) -> str:
    caption = html.escape(picture.caption)
    data = base64.b64encode(picture.png).decode()
    return (
        f'<figure><img alt="{caption}" src="data:image/png;base64,{data}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""

_STYLE = """
body { max-width: 68rem; margin: 2.5rem auto; padding: 0 1.25rem; color: #1f2933;
  background: #fff; font: 16px/1.55 system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 1.5rem; }
h2 { font-size: 1.2rem; margin: 2.25rem 0 .75rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .7rem; vertical-align: top; border-bottom: 1px solid #e6eaee; }
th { font-weight: 600; vertical-align: bottom; border-bottom: 2px solid #c9d1d9; }
.text { text-align: left; }
.number { text-align: right; }
th:first-child, td:first-child { padding-left: 0; }
td small { display: block; color: #66727f; font-size: .75rem; white-space: nowrap; }
.note, figcaption { color: #52606d; font-size: .85rem; max-width: 48rem; margin: .6rem 0 0; }
figure { margin: 0; }
img { max-width: 100%; height: auto; }
summary { cursor: pointer; }
summary h2 { display: inline-block; }
details td { overflow-wrap: anywhere; }
"""
