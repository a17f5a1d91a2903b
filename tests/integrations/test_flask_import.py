"""Sessions of Flask-Session that were imported: their visitors stay logged in, with the id that they have."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from store import Store
from store.errors import Unsupported
from store.importers import import_into

flask = pytest.importorskip("flask", reason="Flask is not installed: imported sessions were not tested")
cachelib = pytest.importorskip("cachelib", reason="cachelib is not installed: imported sessions were not tested")

from store.integrations.flask import StoreSessionInterface  # noqa: E402

SID = "Zk3v0lYw9qXb5-Rj7Ue_TnCmHaG2dPf8SoWi1KtE4yQ"  # as Flask-Session draws it
OLD_SID = "0b6b1c2e-55a5-4a0a-9d7f-0d7a1c1a1b1c"  # as it drew it until 0.5

Make = Callable[..., Any]


@pytest.fixture
def make(place: str) -> Any:
    opened = []

    def make_app(**options: Any) -> flask.Flask:
        app = flask.Flask("test")
        app.session_interface = StoreSessionInterface(place, imported="old", **options)
        opened.append(app.session_interface)

        @app.get("/")
        def page() -> dict[str, Any]:
            return dict(flask.session)

        return app

    yield make_app
    for interface in opened:
        interface.close()


def import_sessions(place: str, folder: Path, sessions: dict[str, Any], **options: Any) -> None:
    cache = cachelib.FileSystemCache(str(folder), **options)
    for key, data in sessions.items():
        cache.set(key, data, timeout=3600)
    with Store(place, namespace="old") as store:
        assert {found.outcome for found in import_into(store, "flask-session", folder)} == {"imported"}


def visit(app: flask.Flask, id: str) -> Any:
    client = app.test_client()
    client.set_cookie("session", id)
    return client.get("/").get_json()


@pytest.mark.parametrize("sid", [SID, OLD_SID])
@pytest.mark.parametrize("method", [hashlib.sha256, hashlib.md5])
def test_visitor_keeps_id_and_data(make: Make, place: str, tmp_path: Path, sid: str, method: Any) -> None:
    data = {"_permanent": True, "user": "ann", "n": [1, 2]}
    import_sessions(place, tmp_path / "files", {f"session:{sid}": data}, hash_method=method)
    app = make()
    assert [visit(app, sid), visit(app, sid)] == [data, data]
    assert app.session_interface.sessions.load(sid) == data
    with Store(place, namespace="old") as store:
        assert len(store) == 0
    assert visit(app, "t" * 43) == {}


def test_prefix_is_the_one_that_they_had(make: Make, place: str, tmp_path: Path) -> None:
    import_sessions(place, tmp_path / "files", {f"shop:{SID}": {"user": "ann"}})
    assert visit(make(), SID) == {}
    assert visit(make(key_prefix="shop:"), SID) == {"user": "ann"}


def test_requests_at_once_take_it_over_once(make: Make, place: str, tmp_path: Path) -> None:
    import_sessions(place, tmp_path / "files", {f"session:{SID}": {"user": "ann"}})
    app = make()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: visit(app, SID), range(8))) == [{"user": "ann"}] * 8
    assert len(app.session_interface.sessions) == 1


@pytest.fixture
def in_two_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on an engine whose transactions are of one namespace."""

    def refuse(self: Any, *arguments: Any) -> None:
        raise Unsupported("it has no transactions of two namespaces")

    monkeypatch.setattr(StoreSessionInterface, "_move", refuse)


@pytest.mark.parametrize("sid", [SID, "x"])
def test_session_is_taken_over_once_without_transactions_of_two_namespaces(
    make: Make, place: str, tmp_path: Path, in_two_steps: None, sid: str
) -> None:
    import_sessions(place, tmp_path / "files", {f"session:{sid}": {"user": "ann"}, f"session:{OLD_SID}": ["a", "list"]})
    app = make()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: visit(app, sid), range(8)))
    assert found == [{"user": "ann"}] * 8 if sid == SID else {"user": "ann"} in found
    assert visit(app, OLD_SID) == {}
    assert len(app.session_interface.sessions) == 1
    with Store[Any](place, namespace="old") as store:
        assert len(store) == 0


def test_session_that_ended_while_another_request_took_it_over_stays_ended(
    make: Make, place: str, tmp_path: Path, in_two_steps: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_sessions(place, tmp_path / "files", {f"session:{SID}": {"user": "ann"}})
    app, read = make(), Store.get_with_record

    def read_late(self: Store[Any], name: str) -> Any:
        found = read(self, name)
        monkeypatch.setattr(Store, "get_with_record", read)
        assert visit(app, SID) == {"user": "ann"}
        app.session_interface.sessions.delete(SID)
        return found

    monkeypatch.setattr(Store, "get_with_record", read_late)
    assert visit(app, SID) == {}
    assert len(app.session_interface.sessions) == 0


@pytest.mark.parametrize("data", ["text", ["a", "list"]])
def test_record_that_is_no_session_is_a_new_one(make: Make, place: str, tmp_path: Path, data: Any) -> None:
    import_sessions(place, tmp_path / "files", {f"session:{SID}": data})
    assert visit(make(), SID) == {}


def test_session_that_was_logged_out_does_not_come_back(make: Make, place: str, tmp_path: Path) -> None:
    import_sessions(place, tmp_path / "files", {f"session:{SID}": {"user": "ann"}})
    app = make()
    visit(app, SID)
    app.session_interface.sessions.delete(SID)
    assert visit(app, SID) == {}


@pytest.mark.parametrize("sid", ["x", "a" * 200, "../x"])
def test_id_that_cannot_be_kept_is_replaced(make: Make, place: str, tmp_path: Path, sid: str) -> None:
    import_sessions(place, tmp_path / "files", {f"session:{sid}": {"user": "ann"}})
    app = make()
    client = app.test_client()
    client.set_cookie("session", sid)
    assert [client.get("/").get_json(), client.get("/").get_json()] == [{"user": "ann"}] * 2
    assert client.get_cookie("session").value != sid and visit(app, sid) == {}
    assert len(app.session_interface.sessions) == 1
