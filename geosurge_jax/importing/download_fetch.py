"""One photo from its address, asked for politely.

Requests to a host are spaced; a host that says when to come back (RFC 9110, section 10.2.3) is left alone
until then, by all. What went wrong for the moment is tried again, after waits that double and differ.
"""

import asyncio
import email.utils
import random
import time
from collections import defaultdict
from dataclasses import dataclass

import httpx2

from geosurge_jax import __version__
from geosurge_jax.importing.archives.members import error_text
from geosurge_jax.importing.download_store import FAILED, STORED, Outcome
from geosurge_jax.importing.file_names import plain
from geosurge_jax.importing.strip import is_jpeg, is_png
from geosurge_jax.input.image_files import MAX_FILE_BYTES
from geosurge_jax.input.images import ImageDecodeError, decode_image

USER_AGENT = f"geosurge_jax/{__version__}"

_HOPS = 5  # redirects that are followed
_LONGEST_PAUSE = 3600.0  # seconds; a host that asks for more is left for another run
_LONGEST_WAIT = 60.0  # seconds between two tries
_PLACEHOLDER = "photo_unavailable"
"""In the address of the picture that Flickr sends instead of a photo that is not public any more."""
_TEMPORARY = (408, 425, 429, 500, 502, 503, 504)
_GONE = (404, 410)
_REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True)
class Manners:
    """How politely and how stubbornly is asked.

    Attributes:
        rate: Requests a second to each host at most.
        retries: Tries after the first.
        backoff: Wait before the second try in seconds, times a random factor of 0.5 to 1.5; doubles.
        timeout: Of one request in seconds.
        seed: Of the random factors.
    """

    rate: float = 20.0
    retries: int = 5
    backoff: float = 1.0
    timeout: float = 60.0
    seed: int = 0


@dataclass(frozen=True)
class Fetched:
    """What came of an address.

    Attributes:
        outcome: Its detail is still empty where a photo came.
        content: The photo, empty = none.
        suffix: By what the photo begins with, as in ".jpg".
    """

    outcome: Outcome
    content: bytes = b""
    suffix: str = ""


class _TemporaryError(Exception):
    """Worth another try; `of_host` where the host has said how long it wants to be left alone."""

    def __init__(self, reason: str, of_host: bool = False):
        super().__init__(reason)
        self.of_host = of_host


class Fetcher:
    """Fetches photos of any number of hosts; used by several tasks at a time."""

    def __init__(self, client: httpx2.AsyncClient, manners: Manners):
        self._client = client
        self._manners = manners
        self._free: defaultdict[str, float] = defaultdict(float)
        """When the next request to a host may go, by the clock of the event loop."""
        self._closed: set[str] = set()
        """Hosts that want to be left alone for longer than a run waits."""

    async def fetch(self, url: str) -> Fetched:
        """Ask for one photo until there is an answer or the tries are used up; raises nothing."""
        waits = random.Random(f"{self._manners.seed} {url}")
        reason = ""
        for attempt in range(self._manners.retries + 1):
            try:
                return await self._follow(url)
            except _TemporaryError as error:
                reason = str(error)
                if error.of_host:
                    continue  # which `_turn` waits for, for all photos of the host
            except (httpx2.RequestError, OSError) as error:
                reason = f"{type(error).__name__}: {error_text(error)}"
            if attempt < self._manners.retries:
                wait = self._manners.backoff * 2**attempt * (0.5 + waits.random())
                await asyncio.sleep(min(wait, _LONGEST_WAIT))
        return Fetched(Outcome(FAILED, reason))

    async def _follow(self, url: str) -> Fetched:
        """Ask for a photo where it is or has moved to."""
        address = _address(url)
        for _ in range(_HOPS + 1):
            if address is None:
                return Fetched(Outcome("bad address", plain(url)))
            if _PLACEHOLDER in address.path:
                return Fetched(Outcome("placeholder", "the photo is not public any more"))
            host = address.netloc.decode("ascii")
            await self._turn(host)
            if host in self._closed:
                return Fetched(Outcome(FAILED, "the host asked to be left alone"))
            # A timeout of the client is for each piece; a host that trickles has to end as well.
            async with (
                asyncio.timeout(self._manners.timeout),
                self._client.stream("GET", address) as response,
            ):
                if response.status_code not in _REDIRECTS:
                    return await self._answer(response)
                url = response.headers.get("location", "")
                address = _address(url, address)
        return Fetched(Outcome("bad address", f"more than {_HOPS} redirects"))

    async def _turn(self, host: str) -> None:
        """Wait until a request to a host may go."""
        clock = asyncio.get_running_loop().time
        while (now := clock()) < self._free[host] and host not in self._closed:
            await asyncio.sleep(self._free[host] - now)
        self._free[host] = now + 1 / self._manners.rate

    async def _answer(self, response: httpx2.Response) -> Fetched:
        status = response.status_code
        if status in _TEMPORARY:
            pause = _pause(response.headers.get("retry-after", ""))
            host = response.url.netloc.decode("ascii")
            if pause is not None and pause > _LONGEST_PAUSE:
                self._closed.add(host)
            elif pause is not None:
                until = asyncio.get_running_loop().time() + pause
                self._free[host] = max(self._free[host], until)
            raise _TemporaryError(f"status {status}", of_host=pause is not None)
        if status in _GONE:
            return Fetched(Outcome("gone", f"status {status}"))
        if status != 200:
            return Fetched(Outcome("refused", f"status {status}"))
        return await _photo(response)


async def _photo(response: httpx2.Response) -> Fetched:
    """Read a photo; its bytes say what it is, since many hosts send a wrong Content-Type.

    Raises:
        _TemporaryError: The connection ended before the photo did.
    """
    too_large = Fetched(Outcome("too large", f"more than {MAX_FILE_BYTES} bytes"))
    declared = response.headers.get("content-length", "")
    if declared.isdigit() and int(declared[:20]) > MAX_FILE_BYTES:
        return too_large
    content = bytearray()
    async for piece in response.aiter_bytes():
        content += piece
        if len(content) > MAX_FILE_BYTES:
            return too_large
    suffix = _suffix(bytes(content[:16]))
    if not suffix:
        return Fetched(Outcome("not a photo", f"it begins with {plain(repr(bytes(content[:8])))}"))
    encoding = response.headers.get("transfer-encoding", "").lower()
    if not declared.isdigit() and "chunked" not in encoding:
        # Only the end of the connection ended the answer, and it may have come too early.
        try:
            await asyncio.to_thread(decode_image, bytes(content))
        except ImageDecodeError as error:
            raise _TemporaryError(f"incomplete photo of {len(content)} bytes: {error}") from None
    return Fetched(Outcome(STORED, ""), bytes(content), suffix)


def _suffix(begin: bytes) -> str:
    """The suffix for a file that begins so, empty = no photo."""
    if is_jpeg(begin):
        return ".jpg"
    if is_png(begin):
        return ".png"
    if begin.startswith((b"GIF87a", b"GIF89a")):
        return ".gif"
    return ".webp" if begin[:4] == b"RIFF" and begin[8:12] == b"WEBP" else ""


def _address(url: str, base: httpx2.URL | None = None) -> httpx2.URL | None:
    """An address that can be asked, None = it cannot."""
    try:
        address = httpx2.URL(url) if base is None else base.join(url)
    except (httpx2.InvalidURL, ValueError):
        return None
    return address if address.scheme in ("http", "https") and address.host else None


def _pause(text: str) -> float | None:
    """Seconds of a Retry-After field, which holds seconds or a date; None = neither."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:10])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
