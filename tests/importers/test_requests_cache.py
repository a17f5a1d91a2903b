"""requests-cache: responses by key, serializers, redirects, expiry, older versions, and damaged rows."""

from __future__ import annotations

import io
import pickle
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sources import Hostile, library
from sources_by_hand import RESPONSES, RESPONSES_BEFORE_1, database

from store import Store
from store.importers import import_into

URL = "https://example.org/tea"
BODY = b'{"tea": ["green", "\xc3\xbc"]}'


def run(s: Store[Any], source: Path, **options: Any) -> dict[str, tuple[str, str]]:
    return {one.name: (one.outcome, one.why) for one in import_into(s, "requests-cache", source, **options)}


def answers() -> Any:
    """An adapter that answers without a network; /old redirects to /tea."""
    requests, urllib3 = library("requests"), library("urllib3")

    class Answers(requests.adapters.BaseAdapter):
        def send(self, request: Any, **_: Any) -> Any:
            status, headers = (302, {"Location": URL}) if request.url.endswith("/old") else (200, {"Content-Type": "application/json"})
            raw = urllib3.HTTPResponse(io.BytesIO(BODY if status == 200 else b""), headers, status, preload_content=False)
            return requests.adapters.HTTPAdapter().build_response(request, raw)

        def close(self) -> None: ...

    return Answers()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "http.sqlite"


def session(source: Path, **options: Any) -> Iterator[Any]:
    requests_cache = library("requests_cache")
    return requests_cache.CachedSession(backend=requests_cache.SQLiteCache(str(source)), **options)  # type: ignore[no-any-return]


def safe_pickle() -> Any:
    return library("requests_cache").safe_pickle_serializer(secret_key="secret")


@pytest.mark.parametrize("serializer", ["pickle", "json", "yaml", safe_pickle])
def test_response_is_found_by_its_cache_key(serializer: Any, source: Path, path: Path) -> None:
    if serializer == "yaml":
        library("yaml")
    requests_cache = library("requests_cache")
    chosen = serializer() if callable(serializer) else serializer
    backend = requests_cache.SQLiteCache(str(source), serializer=chosen)
    with requests_cache.CachedSession(backend=backend, serializer=chosen, expire_after=500) as http:
        http.mount("https://", answers())
        response = http.get(URL)
        key = http.cache.create_key(response.request)
        assert http.get(URL).from_cache
    backend.close()
    before = source.read_bytes()
    with Store[Any](path) as s:
        assert run(s, source) == {key: ("imported", "")}
        found = s[key]
        assert (found["url"], found["status_code"], found["headers"]["Content-Type"]) == (URL, 200, "application/json")
        assert found.get("_content") == BODY or "_decoded_content" in found or isinstance(found["_content"], str)
        expires = s.record(key).expires
        assert expires is not None and abs(expires.timestamp() - time.time() - 500) < 60
    assert source.read_bytes() == before


def test_redirect_leads_to_the_key_of_the_response(source: Path, path: Path) -> None:
    requests_cache = library("requests_cache")
    backend = requests_cache.SQLiteCache(str(source))
    with requests_cache.CachedSession(backend=backend) as http:
        http.mount("https://", answers())
        response = http.get("https://example.org/old")
        assert response.history
        (key, target), = backend.redirects.items()
    backend.close()
    with Store[Any](path) as s:
        run(s, source)
        assert s[f"redirect:{key}"] == target
        assert s[s[f"redirect:{key}"]]["_content"] == BODY
        assert all(s.record(name).expires is None for name in s)


def test_file_of_a_version_before_expiry_was_a_column(source: Path, path: Path) -> None:
    rows = [("a1", pickle.dumps({"url": URL}))]
    database(source, [("responses", RESPONSES_BEFORE_1, rows), ("redirects", RESPONSES_BEFORE_1, [("b2", "a1")])])
    with Store[Any](path) as s:
        assert run(s, source) == {"a1": ("imported", ""), "redirect:b2": ("imported", "")}
        assert dict(s) == {"a1": {"url": URL}, "redirect:b2": "a1"}


def test_yaml_without_its_library_fails_alone(source: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.importers.formats.requests_cache.find_spec", lambda _: None)
    rows = [("yaml", "a: 1", None), ("fine", pickle.dumps({"a": 1}), None)]
    database(source, [("responses", RESPONSES, rows), ("redirects", RESPONSES, [])])
    with Store[Any](path) as s:
        assert run(s, source) == {
            "yaml": ("failed", "it is not JSON; if it is YAML, install pyyaml and import it again"), "fine": ("imported", ""),
        }  # fmt: skip


def test_rows_that_are_damaged_or_hostile_fail_alone(source: Path, tmp_path: Path, path: Path) -> None:
    marker = tmp_path / "code has run"
    rows = [
        ("evil", pickle.dumps(Hostile(marker)), None), ("signed evil", pickle.dumps(Hostile(marker)) + b"." + b"A" * 27, None),
        ("bytes", b"\0\1", None), ("null", None, None), ("number", 7, None), ("json", "{no JSON", None),
        ("cut", pickle.dumps({"a": 1})[:-1], None), ("past", pickle.dumps({}), 1), ("soon", pickle.dumps({}), "soon"),
        ("yaml", "!!python/object/apply:os.mkdir [" + str(marker) + "]", None), ("fine", pickle.dumps({"a": 1}), None),
    ]  # fmt: skip
    database(source, [("responses", RESPONSES, rows), ("redirects", RESPONSES, [("r", pickle.dumps("x"), None)])])
    with Store[Any](path) as s:
        outcomes = {name: outcome for name, (outcome, _) in run(s, source).items()}
        assert dict(s) == {"fine": {"a": 1}, "soon": {}}
        assert outcomes.pop("past") == "expired"
        assert {outcomes.pop("evil"), outcomes.pop("signed evil")} == {"refused"}
        assert {outcomes.pop("fine"), outcomes.pop("soon")} == {"imported"}
        assert outcomes.pop("yaml") in ("refused", "failed")
        assert outcomes == dict.fromkeys(("bytes", "null", "number", "json", "cut", "r"), "failed")
    assert not marker.exists()


def test_responses_without_redirects_are_no_such_file(source: Path, tmp_path: Path) -> None:
    from store.errors import NotAStore

    database(source, [("responses", RESPONSES, [])])
    with Store[Any](":memory:") as s, pytest.raises(NotAStore, match="no source of the kind requests-cache"):
        import_into(s, "requests-cache", source)
