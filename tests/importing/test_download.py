import asyncio
import contextlib
import csv
import email.utils
import io
import itertools
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2
import pytest
from PIL import Image

import geosurge_jax.importing.download_store
from geosurge_jax import __version__
from geosurge_jax.importing.archives.tar import Tars
from geosurge_jax.importing.download import OUTCOMES_FILE, download, main
from geosurge_jax.importing.download_fetch import Fetcher, Manners, _pause
from geosurge_jax.importing.download_store import JOURNAL_FILE, Outcome, PhotoStore

QUICK = Manners(rate=1000, retries=2, backoff=0.01, timeout=5)


def picture(number: int, form: str = "JPEG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (5, 4), (number % 256, number // 256, 99)).save(file, form)
    return file.getvalue()


class Server(ThreadingHTTPServer):
    """A host with good and bad photos that remembers what it was asked."""

    daemon_threads = True
    block_on_close = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.requests: list[tuple[str, float]] = []
        self.counts: Counter[str] = Counter()
        self.agents: set[str | None] = set()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, format, *args):
        pass

    def do_GET(self):
        with self.server.lock:
            self.server.requests.append((self.path, time.monotonic()))
            self.server.agents.add(self.headers["User-Agent"])
            self.server.counts[self.path] += 1
            tries = self.server.counts[self.path]
        kind, number = (
            self.path.strip("/").split("/")[0],
            int(self.path.rpartition("/")[2].split(".")[0]),
        )
        with contextlib.suppress(ConnectionError):
            self.answer(kind, number, tries)

    def answer(self, kind: str, number: int, tries: int) -> None:
        better = kind in ("flaky", "busy", "limit", "cut") and tries > 1
        if better or kind in ("ok", "after"):
            self.send(200, picture(number))
        elif kind == "png":
            self.send(200, picture(number, "PNG"), kind="image/png")
        elif kind in ("flaky", "error"):
            self.send(500)
        elif kind in ("busy", "limit"):
            headers = {"Retry-After": "1" if kind == "busy" else "86400"}
            self.send(429, headers=headers)
        elif kind in ("gone", "forbidden"):
            self.send({"gone": 404 + 6 * (number % 2), "forbidden": 403}[kind])
        elif kind == "moved":
            self.send(302, headers={"Location": f"../ok/{number}"})
        elif kind == "loop":
            self.send(302, headers={"Location": self.path})
        elif kind == "elsewhere":
            self.send(302, headers={"Location": "file:///etc/passwd"})
        elif kind == "placeholder":
            self.send(302, headers={"Location": "/images/photo_unavailable/0.png"})
        elif kind == "page":
            self.send(200, b"<html>", kind="text/html; charset=utf-8")
        elif kind == "plain":
            self.send(200, picture(number), kind="text/plain")
        elif kind == "half":
            content = picture(number) if tries > number else picture(number)[:-200]
            self.send(200, content, headers={"Content-Length": "", "Connection": "close"})
            self.close_connection = True
        elif kind == "html":
            self.send(200, b"<!DOCTYPE html><html>")
        elif kind == "empty":
            self.send(200)
        elif kind == "large":
            self.send(200, b"\xff\xd8\xff", headers={"Content-Length": str(2**40)})
            self.close_connection = True
        elif kind == "endless":
            chunk = b"3e8\r\n" + bytes(1000) + b"\r\n"
            headers = {"Content-Length": "", "Transfer-Encoding": "chunked"}
            self.send(200, chunk, headers=headers)
            while True:
                self.wfile.write(chunk)
        elif kind == "cut":
            self.send(200, picture(number), headers={"Content-Length": "100000"})
            self.close_connection = True
        elif kind == "slow":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            for _ in range(100):  # a piece at a time, so that no single wait is long
                self.wfile.write(b"\xff")
                self.wfile.flush()
                time.sleep(0.05)

    def send(self, status: int, content: bytes = b"", kind: str = "image/jpeg", headers=()):
        fields = {"Content-Type": kind, "Content-Length": str(len(content)), **dict(headers)}
        self.send_response(status)
        for name, value in fields.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with Server() as host:
        thread = threading.Thread(target=host.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield host
        host.shutdown()
        thread.join()


def write_list(path, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def stored(directory, workdir):
    members = [
        m for unit in Tars(directory).contents(workdir).units for m in Tars(directory).read(unit)
    ]
    assert not [member.problem for member in members if member.problem]
    assert len({member.id for member in members}) == len(members)
    return {member.id: member for member in members}


def outcomes(directory):
    with (directory / OUTCOMES_FILE).open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["image_id", "outcome", "detail"]
    return {row[0]: (row[1], row[2]) for row in rows[1:]}


def test_photos_become_tars_that_the_reader_reads(tmp_path, server, monkeypatch):
    monkeypatch.setattr("geosurge_jax.importing.download_store.UNIT_PHOTOS", 8)
    rows = [(f"a/b/{n}.jpg", f"{server.url}/ok/{n}") for n in range(20)]
    rows += [("ä.jpg", f"{server.url}/png/7"), ("a_b_3.jpg", f"{server.url}/ok/3"), rows[0]]
    urls = write_list(tmp_path / "list.csv", rows)
    counts = download(tmp_path / "out", urls, QUICK, 4)
    assert counts == {"stored": 23}
    found = stored(tmp_path / "out", tmp_path / "work")
    assert set(found) == {f"a_b_{n}" for n in range(20)} | {"ä"}
    for number in range(20):
        assert found[f"a_b_{number}"].content == picture(number)
        expected = {"image_id": f"a/b/{number}.jpg", "url": f"{server.url}/ok/{number}"}
        assert found[f"a_b_{number}"].values == expected
    assert found["ä"].content == picture(7, "PNG")
    tars = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert tars == [JOURNAL_FILE, OUTCOMES_FILE, *(f"photos-{n:05d}.tar" for n in range(3))]
    assert server.agents == {f"geosurge_jax/{__version__}"}
    assert max(server.counts.values()) == 1
    assert outcomes(tmp_path / "out")["a/b/0.jpg"][1].startswith("photos-0000")


def test_bytes_decide_what_is_a_whole_photo(tmp_path, server):
    """Without a Content-Length the end of the connection may come too early."""
    paths = ("plain/1", "half/1", "half/4")  # the number says how often it breaks off
    urls = write_list(tmp_path / "list.csv", [(path, f"{server.url}/{path}") for path in paths])
    assert download(tmp_path / "out", urls, QUICK, 2) == {"stored": 2, "failed": 1}
    kind, reason = outcomes(tmp_path / "out")["half/4"]
    assert kind == "failed" and reason.startswith("incomplete photo of ")
    assert download(tmp_path / "out", urls, QUICK, 2) == {"stored": 3}
    found = stored(tmp_path / "out", tmp_path / "work")
    assert [found[path.replace("/", "_")].content for path in paths] == [*map(picture, (1, 1, 4))]
    assert server.counts == {"/plain/1": 1, "/half/1": 2, "/half/4": 5}


BAD = {
    "gone/0": ("gone", "status 404"),
    "gone/1": ("gone", "status 410"),
    "forbidden/0": ("refused", "status 403"),
    "loop/0": ("bad address", "more than 5 redirects"),
    "elsewhere/0": ("bad address", "file:///etc/passwd"),
    "placeholder/0": ("placeholder", "the photo is not public any more"),
    "page/0": ("not a photo", "it begins with b'<html>'"),
    "html/0": ("not a photo", "it begins with b'<!DOCTYP'"),
    "empty/0": ("not a photo", "it begins with b''"),
    "large/0": ("too large", f"more than {64 * 2**20} bytes"),
}


def test_each_bad_answer_has_its_outcome_and_is_final(tmp_path, server):
    rows = [(path, f"{server.url}/{path}") for path in BAD]
    rows += [("moved", f"{server.url}/moved/5")]
    rows += [("address", "ftp://example.org/x.jpg"), ("none", ""), ("odd", "http://[::1/x.jpg")]
    rows += [
        ("../up", f"{server.url}/ok/1"),
        ("", f"{server.url}/ok/2"),
        (".hidden", f"{server.url}/ok/3"),
    ]
    rows += [("one column",), ("three", "columns", "here"), ("large", "x" * 140_000)]
    urls = write_list(tmp_path / "list.csv", rows)
    for _ in range(2):
        counts = download(tmp_path / "out", urls, QUICK, 4)
        assert counts["bad row"] == 5 and counts["stored"] == 1
        found = outcomes(tmp_path / "out")
        assert {path: found[path] for path in BAD} == BAD
        assert {found[name][0] for name in ("address", "none", "odd", "large")} == {"bad address"}
    asked = Counter(server.counts)
    assert asked.pop("/loop/0") == 6 and set(asked.values()) == {1}
    assert "/images/photo_unavailable/0.png" not in asked
    assert not [path for path in asked if path.startswith("/ok") and path != "/ok/5"]
    found = stored(tmp_path / "out", tmp_path / "work")
    assert found["moved"].content == picture(5)


def test_a_body_that_has_no_end(tmp_path, server, monkeypatch):
    monkeypatch.setattr("geosurge_jax.importing.download_fetch.MAX_FILE_BYTES", 2000)
    urls = write_list(tmp_path / "list.csv", [("a", f"{server.url}/endless/0")])
    assert download(tmp_path / "out", urls, QUICK, 1) == {"too large": 1}


def test_what_fails_for_the_moment_is_tried_again(tmp_path, server):
    rows = [(kind, f"{server.url}/{kind}/3") for kind in ("flaky", "cut", "busy")]
    urls = write_list(tmp_path / "list.csv", rows)
    assert download(tmp_path / "out", urls, QUICK, 3) == {"stored": 3}
    assert {m.content for m in stored(tmp_path / "out", tmp_path / "work").values()} == {picture(3)}
    assert set(server.counts.values()) == {2}


def test_failures_are_asked_again_by_the_next_run_alone(tmp_path, server):
    hasty = Manners(rate=1000, retries=1, backoff=0, timeout=1)
    names = ("error", "slow", "ok", "limit", "after")
    urls = write_list(tmp_path / "list.csv", [(name, f"{server.url}/{name}/3") for name in names])
    start = time.monotonic()
    assert download(tmp_path / "out", urls, hasty, 1) == {"failed": 4, "stored": 1}
    assert time.monotonic() - start < 10
    found = outcomes(tmp_path / "out")
    assert found["error"] == ("failed", "status 500")
    assert found["slow"] == ("failed", "TimeoutError: TimeoutError")
    assert found["limit"] == found["after"] == ("failed", "the host asked to be left alone")
    assert server.counts == {"/error/3": 2, "/slow/3": 2, "/ok/3": 1, "/limit/3": 1}
    counts = download(tmp_path / "out", urls, Manners(rate=1000, retries=0, timeout=1), 1)
    assert counts == {"failed": 2, "stored": 3}
    assert server.counts["/ok/3"] == 1 and server.counts["/after/3"] == 1
    assert set(stored(tmp_path / "out", tmp_path / "work")) == {"ok", "limit", "after"}


def test_requests_to_one_host_keep_their_distance():
    moments = []

    class Client:
        def stream(self, _, address):
            moments.append((address.host, asyncio.get_running_loop().time()))
            raise httpx2.ConnectError("no such host")

    async def ask():
        fetcher = Fetcher(Client(), Manners(rate=50, retries=0))
        hosts = ["a.test"] * 10 + ["b.test"] * 2
        begin = asyncio.get_running_loop().time()
        await asyncio.gather(*(fetcher.fetch(f"http://{host}/{n}") for n, host in enumerate(hosts)))

        return begin

    begin = asyncio.run(ask())
    for host, count in (("a.test", 10), ("b.test", 2)):
        times = [moment for name, moment in moments if name == host]
        assert len(times) == count
        for number, moment in enumerate(times):
            assert moment - begin >= number / 50 - 1e-6
    assert [host for host, _ in moments].index("b.test") < 10


def test_a_host_that_asks_for_a_pause_gets_it_from_all(tmp_path, server):
    rows = [(f"{n}", f"{server.url}/ok/{n}") for n in range(30)]
    rows.insert(3, ("busy", f"{server.url}/busy/3"))
    urls = write_list(tmp_path / "list.csv", rows)
    assert download(tmp_path / "out", urls, Manners(rate=100), 4) == {"stored": 31}
    (asked, again) = [moment for path, moment in server.requests if path == "/busy/3"]
    assert again - asked >= 0.95
    # What was under way when the host said so comes through; all that is left would not take long.
    assert sum(asked < moment < asked + 0.95 for _, moment in server.requests) <= 12


def test_waits_are_the_same_each_time(monkeypatch):
    waits = []

    async def sleep(seconds):
        waits.append(seconds)

    class Client:
        def stream(self, *_):
            raise httpx2.ConnectError("no such host")

    monkeypatch.setattr("geosurge_jax.importing.download_fetch.asyncio.sleep", sleep)
    for _ in range(2):
        fetcher = Fetcher(Client(), Manners(rate=1e9, retries=8))
        fetched = asyncio.run(fetcher.fetch("http://127.0.0.1/1.jpg"))
        assert fetched.outcome == Outcome("failed", "ConnectError: no such host")
    waits = [wait for wait in waits if wait > 0.1]
    assert len(waits) == 16 and waits[:8] == waits[8:]
    for attempt, wait in enumerate(waits[:8]):
        assert min(0.5 * 2**attempt, 60) <= wait <= min(1.5 * 2**attempt, 60)
    assert len({wait / 2**attempt for attempt, wait in enumerate(waits[:5])}) == 5


def test_retry_after_may_be_a_date():
    later = email.utils.formatdate(time.time() + 100, usegmt=True)
    assert 97 < (_pause(later) or 0) < 101
    assert _pause("Fri, 01 Jan 1999 00:00:00 GMT") == 0
    assert _pause("soon") is None and _pause("") is None and _pause("7") == 7


def test_the_list_started_again_asks_for_nothing(tmp_path, server):
    urls = write_list(tmp_path / "list.csv", [(str(n), f"{server.url}/ok/{n}") for n in range(5)])
    download(tmp_path / "out", urls, QUICK, 2)
    before = len(server.requests)
    assert download(tmp_path / "out", urls, QUICK, 2) == {"stored": 5}
    assert len(server.requests) == before
    write_list(urls, [(str(n), f"{server.url}/ok/{n}") for n in range(7)])
    assert download(tmp_path / "out", urls, QUICK, 2) == {"stored": 7}
    assert len(server.requests) == before + 2
    (tmp_path / "out" / "photos-00000.tar").unlink()
    assert download(tmp_path / "out", urls, QUICK, 2) == {"stored": 7}
    assert set(stored(tmp_path / "out", tmp_path / "work")) == {str(n) for n in range(7)}
    assert len(server.requests) == before + 2 + 5


def test_kill_at_any_moment(tmp_path, server):
    count = 300
    urls = write_list(
        tmp_path / "list.csv", [(f"a/{n}.jpg", f"{server.url}/ok/{n}") for n in range(count)]
    )
    out = tmp_path / "out"
    command = [sys.executable, "-m", "data.download", "--urls", str(urls), "--out", str(out)]
    command += ["--rate", "200", "--parallel", "4"]
    for stop_after in (70, 140):
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as process:
            while len(server.requests) < stop_after and process.poll() is None:
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)
            process.communicate()
        assert process.returncode == -signal.SIGKILL
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "stored" in result.stdout and "100.0%" in result.stdout
    found = stored(out, tmp_path / "work")
    assert {key: member.content for key, member in found.items()} == {
        f"a_{n}": picture(n) for n in range(count)
    }
    # A kill loses what was not synchronised: a batch, and what was under way.
    assert len(server.requests) <= count + 2 * (64 + 8)


def test_a_store_cut_anywhere_goes_on(tmp_path, monkeypatch):
    """Any journal that was written, and any tar that is no shorter than it says."""
    monkeypatch.setattr("geosurge_jax.importing.download_store.UNIT_PHOTOS", 4)
    monkeypatch.setattr("geosurge_jax.importing.download_store._BATCH", 1)
    whole = tmp_path / "whole"
    ends = []
    with PhotoStore(whole) as store:
        for number in range(3):
            store.add_photo(f"{number}", picture(number), ".jpg", {"n": str(number)})
            ends.append((whole / JOURNAL_FILE).stat().st_size)
    journal, tar = ((whole / name).read_bytes() for name in (JOURNAL_FILE, ".photos-00000.tar"))
    for length in [*range(0, len(journal), 29), *ends, *(end - 1 for end in ends)]:
        kept = sum(end <= length for end in ends)
        least = sum(len(tar) // 3 for _ in range(kept))
        for size in (least, least + 700, len(tar) + 9999):
            folder = tmp_path / f"{length}-{size}"
            folder.mkdir()
            (folder / JOURNAL_FILE).write_bytes(journal[:length])
            (folder / ".photos-00000.tar").write_bytes((tar + b"\xff" * 9999)[:size])
            with PhotoStore(folder) as store:
                assert set(store.outcomes) == {str(number) for number in range(kept)}
                for number in range(kept, 6):
                    store.add_photo(f"{number}", picture(number), ".jpg", {"n": str(number)})
                store.finish_tar()
            found = stored(folder, tmp_path / "work")
            assert {key: (m.content, m.values["n"]) for key, m in found.items()} == {
                str(number): (picture(number), str(number)) for number in range(6)
            }
            assert len(list(folder.glob("photos-*.tar"))) == 2
            with PhotoStore(folder) as store:
                assert len(store.outcomes) == 6


def test_a_tar_that_lacks_what_the_journal_says(tmp_path):
    with PhotoStore(tmp_path / "out") as store:
        for number in range(3):
            store.add_photo(f"{number}", picture(number), ".jpg", {})
        store.add_outcome("3", Outcome("gone", "status 404"))
    path = tmp_path / "out" / ".photos-00000.tar"
    path.write_bytes(path.read_bytes()[: path.stat().st_size - 600])
    with (tmp_path / "out" / JOURNAL_FILE).open("ab") as file:
        file.write(b"\0\0\0\n[]\n{}\n" + b'{"id": "5", "outcome": "stored", "detail": ""}\n')
    with PhotoStore(tmp_path / "out") as store:
        assert set(store.outcomes) == {"0", "1", "3"}
        store.add_photo("2", picture(2), ".jpg", {})
        store.finish_tar()
    assert set(stored(tmp_path / "out", tmp_path / "work")) == {"0", "1", "2"}


def test_a_full_tar_without_its_final_name(tmp_path, monkeypatch):
    with PhotoStore(tmp_path / "out") as store:
        for number in range(4):
            store.add_photo(f"{number}", picture(number), ".jpg", {})
    monkeypatch.setattr("geosurge_jax.importing.download_store.UNIT_PHOTOS", 4)
    with PhotoStore(tmp_path / "out") as store:
        assert (tmp_path / "out" / "photos-00000.tar").exists()
        store.add_photo("4", picture(4), ".jpg", {})
        store.finish_tar()
    assert (tmp_path / "out" / "photos-00001.tar").exists()
    assert set(stored(tmp_path / "out", tmp_path / "work")) == {"0", "1", "2", "3", "4"}


def test_one_download_at_a_time(tmp_path):
    with PhotoStore(tmp_path), pytest.raises(ValueError, match=r"another download.*--out"):
        PhotoStore(tmp_path).__enter__()


def test_a_full_disk_loses_nothing(tmp_path, server, monkeypatch):
    urls = write_list(tmp_path / "list.csv", [(str(n), f"{server.url}/ok/{n}") for n in range(20)])
    written = geosurge_jax.importing.download_store._write
    calls = itertools.count()

    def full(file, content):
        if next(calls) == 10:
            written(file, content[:100])
            raise OSError(28, "No space left on device")
        written(file, content)

    with monkeypatch.context() as patch:
        patch.setattr("geosurge_jax.importing.download_store._write", full)
        with pytest.raises(SystemExit, match="error: .*No space left on device"):
            main(["--urls", str(urls), "--out", str(tmp_path / "out"), "--parallel", "1"])
    assert download(tmp_path / "out", urls, QUICK, 2) == {"stored": 20}
    found = stored(tmp_path / "out", tmp_path / "work")
    assert {k: m.content for k, m in found.items()} == {str(n): picture(n) for n in range(20)}
    assert sum(server.counts.values()) == 21


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--urls", "nowhere.csv"], "nowhere.csv: No such file or directory, expected a list"),
        (["--urls", "list.csv"], "list.csv: no rows of image_id and url"),
        (["--urls", "list.csv", "--rate", "0"], "rate 0.0, retries 5, parallel 16: expected"),
        (["--urls", "list.csv", "--parallel", "0"], "rate 20, retries 5, parallel 0: expected"),
    ],
)
def test_bad_arguments(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    write_list(tmp_path / "list.csv", [("one column",)])
    with pytest.raises(SystemExit) as error:
        main([*arguments, "--out", "out"])
    assert str(error.value).startswith(f"error: {message}")
    assert "\n" not in str(error.value)
