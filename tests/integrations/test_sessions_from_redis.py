"""Sessions that Django and Flask-Session keep on a Redis server, imported: their visitors stay logged in."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from redis_server import RedisServer

from store import Store
from store.importers import import_into
from store.sessions import Sessions
from store.sessions.importing import SessionForm

DATA = {"_auth_user_id": "7", "cart": ["tea", {"cups": 2}], "note": "x" * 500}
OLD_SID = "0b6b1c2e-55a5-4a0a-9d7f-0d7a1c1a1b1c"  # as Flask-Session drew it until 0.5


@pytest.fixture
def source(redis: RedisServer) -> Iterator[str]:
    """The URL of a database of a server, which is emptied afterwards."""
    yield f"{redis.url[:-1]}5"
    redis.ask("FLUSHALL", "SYNC")


# -- Django

PLAIN = "django.core.cache.backends.redis.RedisCache"
MORE = "django_redis.cache.RedisCache"
CACHES: dict[str, dict[str, Any]] = {
    "plain": {"BACKEND": PLAIN},
    "prefix and version": {"BACKEND": PLAIN, "KEY_PREFIX": "sh*p:[1]", "VERSION": 3},
    "django-redis": {"BACKEND": MORE, "KEY_PREFIX": "shop"},
    **{
        f"django-redis, {serializer}, {compressor}": {
            "BACKEND": MORE,
            "OPTIONS": {
                "SERIALIZER": f"django_redis.serializers.{serializer.lower()}.{serializer}Serializer",
                "COMPRESSOR": f"django_redis.compressors.{compressor.lower()}.{compressor}Compressor",
            },
        }
        for serializer, compressor in [("Pickle", "Zlib"), ("JSON", "Gzip"), ("MSGPack", "Lzma"), ("JSON", "Lz4"), ("MSGPack", "ZStd")]
    },
}
LIBRARIES = {"Lz4": "lz4.frame", "ZStd": "pyzstd", "MSGPack": "msgpack"}


@pytest.fixture
def django_site(source: str) -> Iterator[Any]:
    """`django_site(cache, engine)` configures Django with that entry of CACHES, and gives the module of the engine."""
    pytest.importorskip("django", reason="Django is missing: its sessions on Redis were not tested")
    from django.core.cache import caches
    from django_settings import set_up

    set_up()
    from django.test import override_settings

    entered = []

    def configure(cache: str, engine: str = "cache") -> Any:
        if "django-redis" in cache:
            pytest.importorskip("django_redis", reason="django-redis is missing: its layout was not tested")
        for word in cache.split(", "):
            if word in LIBRARIES:
                pytest.importorskip(LIBRARIES[word], reason=f"{word} of django-redis was not tested")
        setting = override_settings(CACHES={"default": {"LOCATION": source, **CACHES[cache]}}, SESSION_CACHE_ALIAS="default")
        setting.enable()
        entered.append(setting)
        return __import__(f"django.contrib.sessions.backends.{engine}", fromlist=["SessionStore"]).SessionStore

    yield configure
    for cache in caches.all(initialized_only=True):
        for pool in pools_of(cache).values():  # Django keeps them until the process ends
            pool.disconnect()
    for setting in reversed(entered):
        setting.disable()


def pools_of(cache: Any) -> dict[Any, Any]:
    if hasattr(cache, "_cache"):
        found: dict[Any, Any] = cache._cache._pools
    else:
        from django_redis.pool import ConnectionFactory

        found = ConnectionFactory._pools
    return found


def new(session: Any, data: dict[str, Any], seconds: int | None = None) -> str:
    session.update(data)
    if seconds is not None:
        session.set_expiry(seconds)
    session.save()
    return str(session.session_key)


def loaded(place: str, key: str) -> dict[str, Any]:
    """What our engine of Django has for a cookie."""
    from django.test import override_settings

    from store.integrations.django.handles import close_all
    from store.integrations.django.sessions import SessionStore

    with override_settings(STORE_SESSION_LOCATION=place):
        try:
            return dict(SessionStore(key).items())
        finally:
            close_all()


@pytest.mark.parametrize("cache", CACHES)
def test_django_loads_its_session(cache: str, django_site: Any, source: str, place: str) -> None:
    key = new(django_site(cache)(), DATA)
    made = {"key_prefix": CACHES[cache].get("KEY_PREFIX"), "key_version": CACHES[cache].get("VERSION")}
    with Sessions(place) as sessions:
        for outcome in ("imported", "unchanged"):
            found = list(import_into(sessions.store, "django-sessions", source, form=SessionForm(), **made))
            assert [(one.outcome, one.why) for one in found] == [(outcome, "")]
            assert key not in found[0].name
        assert sessions.load(key) == DATA
    assert loaded(place, key) == DATA
    assert loaded(place, "z" * 32) == {}


def test_sessions_of_cached_db_are_in_its_cache(django_site: Any, source: str, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.contrib.sessions.backends import cached_db, db

    monkeypatch.setattr(db.SessionStore, "save", lambda self, must_create=False: None)  # there is no database here
    session = django_site("plain", "cached_db")("0123456789abcdefghijklmnopqrstuv")
    assert isinstance(session, cached_db.SessionStore)
    session.clear()
    key = new(session, DATA)
    with Sessions(place) as sessions:
        assert [one.outcome for one in import_into(sessions.store, "django-sessions", source, form=SessionForm())] == ["imported"]
    assert loaded(place, key) == DATA


def test_django_session_keeps_its_expiry(django_site: Any, source: str, place: str) -> None:
    backend = django_site("plain")
    keys = {seconds: new(backend(), DATA, seconds) for seconds in (50, 5000, None)}
    with Sessions(place) as sessions:
        list(import_into(sessions.store, "django-sessions", source, form=SessionForm()))
        for seconds, key in keys.items():
            record = sessions.record(key)
            assert record is not None and record.expires is not None
            assert 0 <= time.time() + (seconds or 1_209_600) - record.expires.timestamp() < 40


def test_django_session_with_objects_goes_into_sessions_of_pickles(django_site: Any, source: str, place: str) -> None:
    data = {"pair": (1, 2), "when": datetime(2026, 1, 2, tzinfo=UTC)}
    key = new(django_site("plain")(), data)
    with Sessions(place) as sessions:
        (found,) = import_into(sessions.store, "django-sessions", source, form=SessionForm())
        assert found.outcome == "failed" and "use the codec 'pickle'" in found.why
    with Sessions(place, codec="pickle") as sessions:
        (found,) = import_into(sessions.store, "django-sessions", source, form=SessionForm())
        assert (found.outcome, sessions.load(key)) == ("imported", data)


# -- Flask


@pytest.fixture
def flask_app(source: str, place: str) -> Iterator[Any]:
    """`flask_app(**settings)` keeps its sessions with Flask-Session on the server, `flask_app()` in the store."""
    flask = pytest.importorskip("flask", reason="Flask is missing: imported sessions were not tested")
    flask_session = pytest.importorskip("flask_session", reason="Flask-Session is missing: its sessions were not tested")
    from redis import Redis

    from store.integrations.flask import StoreSessionInterface

    opened: list[Any] = []

    def make(key_prefix: str = "session:", **settings: Any) -> Any:
        app = flask.Flask("shop")
        if settings:
            client = Redis.from_url(source)
            opened.append(client.connection_pool)
            app.config.update(SESSION_TYPE="redis", SESSION_REDIS=client, SESSION_KEY_PREFIX=key_prefix, **settings)
            flask_session.Session(app)
        else:
            app.session_interface = StoreSessionInterface(place, imported="old", key_prefix=key_prefix)
            opened.append(app.session_interface)

        @app.post("/")
        def log_in() -> str:
            flask.session.update(DATA)
            return "logged in"

        @app.get("/")
        def page() -> dict[str, Any]:
            return {name: value for name, value in flask.session.items() if not name.startswith("_p")}

        return app

    yield make
    for one in opened:
        getattr(one, "close" if isinstance(one, StoreSessionInterface) else "disconnect")()


def visit(app: Any, cookie: str) -> Any:
    client = app.test_client()
    client.set_cookie("session", cookie)
    return client.get("/").get_json()


def into_store(place: str, source: str, **options: Any) -> list[str]:
    with Store[Any](place, namespace="old") as s:
        return [one.outcome for one in import_into(s, "flask-session", source, **options)]


@pytest.mark.parametrize("form", ["msgpack", "json"])
@pytest.mark.parametrize("prefix", ["session:", "sh*p:[1]^"])
def test_visitor_of_flask_stays_logged_in(form: str, prefix: str, flask_app: Any, source: str, place: str) -> None:
    if form == "msgpack":
        pytest.importorskip("msgpack", reason="msgpack is missing: Flask-Session's own form was not tested")
    client = flask_app(prefix, SESSION_SERIALIZATION_FORMAT=form).test_client()
    client.post("/")
    cookie = client.get_cookie("session").value
    given = {} if prefix == "session:" else {"key_prefix": prefix}
    assert [into_store(place, source, **given) for _ in range(2)] == [["imported"], ["unchanged"]]
    with Store[Any](place, namespace="old") as s:
        (record,) = s.records()
        assert cookie not in record.name
        assert record.expires is not None and 0 <= time.time() + 31 * 86_400 - record.expires.timestamp() < 40
    app = flask_app(prefix)
    assert [visit(app, cookie), visit(app, cookie), visit(app, "t" * 43)] == [DATA, DATA, {}]


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_visitor_of_an_old_flask_session_stays_logged_in(protocol: int, flask_app: Any, source: str, place: str) -> None:
    """Until 0.6 sessions were pickles, of protocol 0 on Python 2."""
    from redis import Redis

    with Redis.from_url(source) as client:
        client.set(f"session:{OLD_SID}", pickle.dumps({"_permanent": True, **DATA}, protocol), ex=500)
    assert into_store(place, source) == ["imported"]
    assert visit(flask_app(), OLD_SID) == DATA
