"""Responses of requests-cache in a store: plain data, lifetimes, many writers, and records of others."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from children import Crowd, Start
from strangers import FOREIGN_KEY, MINE, THEIRS, Marker

from store import Store

pytest.importorskip("requests_cache", reason="requests-cache is not installed: its backend is not tested")
from requests_cache import CachedResponse, CachedSession
from requests_cache.models import CachedRequest

from store.integrations.requests_cache import StoreBackend

WRITES = """
from requests_cache import CachedResponse
from store.integrations.requests_cache import StoreBackend
place, number = sys.argv[1:]
backend = StoreBackend(place)
for i in range(20):
    backend.responses[f"{number}-{i}"] = CachedResponse(status_code=200, url=f"http://x/{i}", content=b"x" * 100)
    backend.redirects[f"r{number}-{i}"] = f"{number}-{i}"
backend.close()
print(json.dumps("done"))
"""

ENDLESS = """
import itertools, sys
from requests_cache import CachedResponse
from store.integrations.requests_cache import StoreBackend
backend = StoreBackend(sys.argv[1])
for i in itertools.count():
    backend.responses[str(i)] = CachedResponse(status_code=200, content=b"x" * 1000)
    print(i, flush=True)
"""

FORKS = """
import json, os, sys
from requests_cache import CachedResponse
from store.integrations.requests_cache import StoreBackend
backend = StoreBackend(sys.argv[1])
backend.responses["before"] = CachedResponse(status_code=200)
pid = os.fork()
if pid == 0:
    backend.responses["child"] = backend.responses["before"]
    os._exit(0)
status = os.waitpid(pid, 0)[1]
print(json.dumps([status, sorted(backend.responses)]))
backend.close()
"""


@pytest.fixture
def backend(place: str) -> Iterator[StoreBackend]:
    opened = StoreBackend(place)
    yield opened
    opened.close()


def response(**fields: Any) -> CachedResponse:
    return CachedResponse(status_code=200, url="http://x/", request=CachedRequest(method="GET", url="http://x/"), **fields)


@pytest.mark.filterwarnings(FOREIGN_KEY)
def test_response_is_plain_data(backend: StoreBackend, place: str) -> None:
    backend.responses["k"] = response(content=b"body", headers={"A": "b"})
    with Store(place, namespace="responses", trust="data", key=THEIRS) as s:  # decoded with restraint
        assert (s["k"]["_content"], s["k"]["headers"]) == (b"body", {"A": "b"})
    found = backend.get_response("k")
    assert (found.content, found.headers["a"], found.cache_key) == (b"body", "b", "k")


@pytest.mark.parametrize("serializer", ["json", "pickle"])
def test_serializer_of_requests_cache_is_used(place: str, serializer: str) -> None:
    backend = StoreBackend(place, serializer=serializer)
    backend.responses["k"] = response(content=b"body")
    assert type(backend.responses.records["k"]) is {"json": str, "pickle": bytes}[serializer]
    assert backend.get_response("k").content == b"body"
    backend.close()


def test_session_finds_what_another_one_saved(place: str) -> None:
    with CachedSession(backend=StoreBackend(place)) as one:
        one.cache.responses[one.cache.create_key(CachedRequest(method="GET", url="http://x/"))] = response(content=b"body")
    with CachedSession(backend=StoreBackend(place)) as two:
        found = two.get("http://x/")
        assert (found.from_cache, found.content) == (True, b"body")


def test_record_outlives_the_expiry_of_its_response_by_the_offset(place: str) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=100)
    for options, seconds in (({}, 3700), ({"ttl_offset": 50}, 150), ({"ttl": False}, None)):
        backend = StoreBackend(place, **options)
        backend.responses["k"] = response(expires=soon)
        record = backend.responses.records.record("k")
        left = None if record.expires is None else (record.expires - record.modified).total_seconds()
        assert left == (None if seconds is None else pytest.approx(seconds, abs=60))
        backend.responses["k"] = response()
        assert backend.responses.records.record("k").expires is None
        backend.close()


@pytest.mark.slow
def test_processes_at_once_lose_nothing(place: str, crowd: Crowd, backend: StoreBackend) -> None:
    assert crowd(3, WRITES, place) == ["done"] * 3
    assert (len(backend.responses), len(backend.redirects)) == (60, 60)
    assert backend.get_response("r2-19").url == "http://x/19"


@pytest.mark.slow
def test_killed_process_leaves_what_it_saved(place: str, start: Start, backend: StoreBackend) -> None:
    child = start(ENDLESS, place)
    last = [int(child.hear()) for _ in range(10)][-1]
    child.kill()
    assert {str(i) for i in range(last + 1)} <= set(backend.responses)
    assert all(len(found.content) == 1000 for found in backend.responses.values())


@pytest.mark.slow
def test_works_on_both_sides_of_a_fork(place: str, start: Start) -> None:
    assert start(FORKS, place).result() == [0, ["before", "child"]]


@pytest.mark.damaged
@pytest.mark.filterwarnings(FOREIGN_KEY)
def test_foreign_record_runs_nothing_and_is_fetched_anew(place: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ran = tmp_path / "ran"
    with Store(place, namespace="responses", key=THEIRS) as s:
        s["secret-key"] = Marker(ran)
    backend = StoreBackend(place, key=MINE)
    assert backend.get_response("secret-key") is None
    assert "fetched anew: Untrusted" in caplog.text
    assert "secret-key" not in caplog.text
    backend.responses["good"] = response()
    backend.delete(invalid=True)
    assert list(backend.responses) == ["good"]
    assert not ran.exists()
    backend.close()


def test_wrong_option_is_refused(place: str) -> None:
    with pytest.raises(ValueError, match="unknown trust"):
        StoreBackend(place, trust="everybody")
