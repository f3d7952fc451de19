"""A list of addresses -> tars of photos, for those who have the list of MP-16 but not its photos.

    python -m data.download --urls FILE.csv --out DIR [--rate 20] [--parallel 16] [--retries 5]

The list has two columns without header, `image_id,url`. The tars are WebDatasets, `KEY.jpg` and
`KEY.json`, of 4096 photos each, which `geosurge_jax.importing.archives.tar` reads. The same command again
asks only for what is missing, whatever ended the one before it. `outcomes.csv` says what became of each
row.
"""

import argparse
import asyncio
import contextlib
import csv
import io
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx2
from rich.console import Console
from rich.table import Table

from geosurge_jax.command_end import one_line_errors, plain_logging
from geosurge_jax.delimited.records import csv_records
from geosurge_jax.delimited.text import detect_encoding
from geosurge_jax.geo.storage import atomic_file
from geosurge_jax.importing.archives.contract import photo_id
from geosurge_jax.importing.download_fetch import USER_AGENT, Fetcher, Manners
from geosurge_jax.importing.download_store import STORED, Outcome, PhotoStore
from geosurge_jax.importing.file_names import name_problem
from geosurge_jax.progress import track

OUTCOMES_FILE = "outcomes.csv"

_NOT_ASKED = Outcome("not asked", "")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Row:
    """One row of the list; `problem` says why it cannot be asked for, empty = it can."""

    image_id: str
    url: str
    problem: str = ""


def download(
    directory: str | Path, urls: str | Path, manners: Manners, parallel: int
) -> Counter[str]:
    """Download all photos of a list that are not there yet.

    Args:
        directory: Where the tars are made.
        urls: The list.
        manners: How is asked.
        parallel: Photos that are asked for at a time.

    Returns:
        Number of rows by kind of outcome.

    Raises:
        ValueError: The list cannot be read or names no photo, or another download is at work in the folder.
        OSError: The photos cannot be written.
    """
    if not (manners.rate > 0 and manners.retries >= 0 and parallel >= 1):
        raise ValueError(
            f"rate {manners.rate}, retries {manners.retries}, parallel {parallel}: expected more than 0, "
            "0 or more, 1 or more (--rate, --retries, --parallel)"
        )
    directory, urls = Path(directory), Path(urls)
    with PhotoStore(directory) as store:
        missing = sum(1 for _ in _missing(urls, store))
        _log.info("%s: %d photos to ask for, %d done before", urls, missing, len(store.outcomes))
        if missing:
            rows = track(_missing(urls, store), f"downloading {urls.name}", missing)
            with contextlib.closing(rows):
                asyncio.run(_download(rows, store, manners, parallel))
        store.finish_tar()
        return _write_outcomes(directory / OUTCOMES_FILE, urls, store)


async def _download(
    rows: Iterator[_Row], store: PhotoStore, manners: Manners, parallel: int
) -> None:
    in_flight: set[str] = set()

    async def work() -> None:
        for row in rows:
            key = photo_id(row.image_id)
            if key in in_flight:
                continue
            in_flight.add(key)
            fetched = await fetcher.fetch(row.url)
            if fetched.outcome.kind == STORED:
                values = {"image_id": row.image_id, "url": row.url}
                store.add_photo(row.image_id, fetched.content, fetched.suffix, values)
            else:
                store.add_outcome(row.image_id, fetched.outcome)
            in_flight.remove(key)

    client = httpx2.AsyncClient(
        headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
        timeout=manners.timeout,
        limits=httpx2.Limits(max_connections=parallel, max_keepalive_connections=parallel),
    )
    async with client:
        fetcher = Fetcher(client, manners)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(parallel):
                    group.create_task(work())
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None


def _missing(urls: Path, store: PhotoStore) -> Iterator[_Row]:
    """Rows to be asked for; by the time that one is looked at."""
    for row in _rows(urls):
        if not row.problem and photo_id(row.image_id) not in store.outcomes:
            yield row


def _rows(urls: Path) -> Iterator[_Row]:
    """Yield the rows of the list in order; a row that cannot be read has a problem."""
    try:
        for record in csv_records(urls, detect_encoding(urls), ","):
            if record.problem:
                yield _Row("", "", f"row {record.line}: {record.problem}")
            else:
                yield _row(record.fields)
    except OSError as error:
        raise ValueError(f"{urls}: {error.strerror}, expected a list (--urls)") from None


def _row(record: Sequence[str]) -> _Row:
    if len(record) != 2:
        reason = f"{len(record)} columns, expected image_id and url"
        return _Row(record[0], "", reason)
    image_id, url = record[0].strip(), record[1].strip()
    problem = name_problem(image_id)
    if not problem and photo_id(image_id).startswith("."):
        problem = "unsafe name: it is hidden"
    return _Row(image_id, url, problem)


def _write_outcomes(path: Path, urls: Path, store: PhotoStore) -> Counter[str]:
    """Write what became of each row, and count it."""
    counts: Counter[str] = Counter()
    with atomic_file(path) as file:
        text = io.TextIOWrapper(file, "utf-8", "backslashreplace", newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("image_id", "outcome", "detail"))
        for row in _rows(urls):
            outcome = Outcome("bad row", row.problem)
            if not row.problem:
                outcome = store.outcomes.get(photo_id(row.image_id), _NOT_ASKED)
            writer.writerow((row.image_id, outcome.kind, outcome.detail))
            counts[outcome.kind] += 1
        text.flush()
        text.detach()
    if not counts.total() - counts["bad row"]:
        raise ValueError(f"{urls}: no rows of image_id and url, expected at least one (--urls)")
    return counts


def _print_outcomes(counts: Counter[str]) -> None:
    table = Table("outcome", title=f"{counts.total()} photos")
    table.add_column("photos", justify="right")
    table.add_column("share", justify="right")
    for kind, count in counts.most_common():
        table.add_row(kind, str(count), f"{count / counts.total():.1%}")
    Console(markup=False).print(table)


@one_line_errors(resumes=True)
def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(prog="python -m data.download", description=__doc__)
    parser.add_argument("--urls", required=True, help="CSV without header: image_id,url")
    parser.add_argument("--out", required=True, help="where the tars are made")
    parser.add_argument("--rate", type=float, default=20, help="requests a second to each host")
    parser.add_argument("--parallel", type=int, default=16, help="photos asked for at a time")
    parser.add_argument("--retries", type=int, default=5, help="tries after the first")
    given = parser.parse_args(arguments)
    plain_logging()
    manners = Manners(rate=given.rate, retries=given.retries)
    _print_outcomes(download(given.out, given.urls, manners, given.parallel))
