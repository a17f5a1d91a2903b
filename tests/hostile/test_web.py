"""`store web` on hostile stores, through HTTP: nothing runs, nothing leaves, and each page comes."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

pytest.importorskip("starlette", reason="Starlette is not installed: `store web` was not tested")
pytest.importorskip("uvicorn", reason="uvicorn is not installed: `store web` was not tested")

from harmless_html import read
from hostile_names import MARKER, OTHER, OWN, plant

from store.web.pages.layout import HEADERS

pytestmark = [
    pytest.mark.damaged,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore:.*sealed with a key"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory as Linux tells it"),
]

HERE = Path(__file__).parent
SECONDS = 60
MOST_BYTES = 8_000_000  # of one page
MEGABYTES = 800
SOME = 3  # of each family
SECRETS = [text for key in (OWN, OTHER) for text in (key.decode(), key.hex())]
CORPUS = json.loads(
    subprocess.run([sys.executable, str(HERE / "corpus.py")], stdout=subprocess.PIPE, timeout=60, check=True).stdout
)["hostile"]


class Browser:
    """Opens pages one after the other, by one connection."""

    def __init__(self, address: str) -> None:
        where = urlsplit(address)
        self.base = where.path.rstrip("/")
        self._connection = http.client.HTTPConnection(str(where.hostname), where.port, timeout=SECONDS)
        self.faults: list[tuple[str, list[str]]] = []

    def open(self, path: str) -> tuple[int, list[str]]:
        """The status of a page and the addresses that it leads to; its faults are collected."""
        self._connection.request("GET", path)
        response = self._connection.getresponse()
        body = response.read()
        page = read(body.decode("utf-8"), self.base)
        wrong = {
            "it is too long": len(body) > MOST_BYTES,
            "headers are missing": any(response.getheader(name) != value for name, value in HEADERS.items()),
            "it is no page": response.getheader("content-type") != "text/html; charset=utf-8",
            "it has a traceback": b"Traceback" in body or b"site-packages" in body,
            "it failed": b"mistake in the program" in body,
            "it tells a key": any(secret in body.decode() for secret in SECRETS),
        }
        found = page.faults + [fault for fault, is_so in wrong.items() if is_so]
        if found:
            self.faults.append((path, found))
        return response.status, page.links

    def close(self) -> None:
        self._connection.close()


@contextmanager
def served(command: list[str], **environment: str) -> Iterator[tuple[Browser, subprocess.Popen[str]]]:
    with subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        try:
            assert select.select([process.stdout], [], [], SECONDS)[0], "it said nothing"
            address = process.stdout.readline().strip()
            assert address, process.stderr.read()
            browser = Browser(address)
            yield browser, process
            browser.close()
            assert process.poll() is None, process.stderr.read()
        finally:
            process.terminate()
            _, err = process.communicate(timeout=SECONDS)
    assert "Traceback" not in err, err[-3000:]


def peak_megabytes(process: subprocess.Popen[str]) -> float:
    status = Path(f"/proc/{process.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1000


def some_of_each_family() -> list[dict[str, Any]]:
    """Streams of each shape: values of one family are shown alike."""
    families: dict[str, list[dict[str, Any]]] = {}
    for each in CORPUS:
        families.setdefault(each["family"], []).append(each)
    return [each for streams in families.values() for each in streams[:SOME]]


@pytest.mark.parametrize(
    "streams",
    [
        pytest.param(some_of_each_family(), id="some", marks=pytest.mark.heavy),
        pytest.param(CORPUS, id="all", marks=pytest.mark.huge),
    ],
)
def test_corpus_is_shown_and_none_of_it_runs(tmp_path: Path, streams: list[dict[str, Any]]) -> None:
    marker = tmp_path / "marker"
    names = [each["name"] for each in streams]
    with served([str(HERE / "web_server.py"), str(tmp_path), "data", *names], HOSTILE_MARKER=str(marker)) as (browser, process):
        before = hashlib.sha256((tmp_path / "app.db").read_bytes()).hexdigest()
        for each in streams:
            query = urlencode({"namespace": "corpus", "name": each["name"]})
            assert browser.open(f"{browser.base}/record?{query}")[0] == 200, each["name"]
            assert not marker.exists(), each["name"]
        for path in ("/", "/namespace?namespace=corpus", "/namespace?namespace=corpus&sort=size"):
            assert browser.open(f"{browser.base}{path}")[0] == 200
        assert peak_megabytes(process) < MEGABYTES
        assert hashlib.sha256((tmp_path / "app.db").read_bytes()).hexdigest() == before
    assert browser.faults == []
    assert not marker.exists()


@pytest.mark.heavy
def test_harness_sees_a_stream_that_runs(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    name = next(each["name"] for each in CORPUS if each["executes"])
    with served([str(HERE / "web_server.py"), str(tmp_path), "all", name], HOSTILE_MARKER=str(marker)) as (browser, _):
        browser.open(f"{browser.base}/record?{urlencode({'namespace': 'corpus', 'name': name})}")
        assert marker.exists()


@pytest.mark.heavy
@pytest.mark.parametrize("seed", [1])
@pytest.mark.parametrize("access", [[], ["--write"]], ids=["read", "write"])
def test_hostile_names_lead_only_to_pages_of_the_store(tmp_path: Path, seed: int, access: list[str]) -> None:
    plant(tmp_path / "app.db", seed)
    (tmp_path / "here").mkdir()
    command = ["-m", "store", "web", str(tmp_path / "app.db"), *access]
    with served(command, STORE_KEY=OWN.decode()) as (browser, process):
        waiting, seen = [f"{browser.base}/"], set[str]()
        while waiting and len(seen) < 300:
            path = waiting.pop(0)
            if path not in seen and "/static/" not in path and "/do/" not in path and "/events" not in path:
                seen.add(path)
                status, links = browser.open(path)
                assert status in (200, 404), path
                waiting += links
        assert sum("/record?" in path for path in seen) > 20
        assert peak_megabytes(process) < MEGABYTES
    assert browser.faults == []
    assert not any(MARKER in files for _, _, files in os.walk(tmp_path))


PLACES = [
    "/..%2f..%2f..%2fetc/passwd", "/%2e%2e/%2e%2e/site.py", "//etc/passwd", "/%00", "/record/", "/namespace/record",
    "/namespace?namespace=%00", "/namespace?namespace=%ff", "/namespace?namespace=%ED%A0%80", "/record?namespace=%00&name=%00",
    "/record?name=x&namespace=../../etc", "/namespace?namespace=&prefix=%00", "/namespace?namespace=&after=%ff%00", "/namespace?sort=x",
    f"/namespace?namespace={'x' * 30_000}", "/namespace?namespace=&namespace=a", "/record", "/namespace", "/namespace?%", "/?" + "a=b&" * 5000,
    "/namespace?namespace=&sort=age&reverse=<script>", "/health?x=<script>alert(1)</script>", "/<script>alert(1)</script>",
    "/javascript:alert(1)",
]  # fmt: skip


@pytest.mark.heavy
def test_hostile_addresses_are_pages_too(tmp_path: Path) -> None:
    plant(tmp_path / "app.db", 3)
    with served(["-m", "store", "web", str(tmp_path / "app.db")], STORE_KEY=OWN.decode()) as (browser, _):
        for place in PLACES:
            status, _ = browser.open(f"{browser.base}{place}".replace("<", "%3C").replace(">", "%3E"))
            assert status in (200, 400, 404), (place, status)
    assert browser.faults == []
