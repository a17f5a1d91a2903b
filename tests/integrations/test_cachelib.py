"""`StoreCache`: cachelib's contract, under Flask-Caching and under Flask-Session."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Iterator
from datetime import timedelta
from pickle import PicklingError

import pytest

from store.cache import Cache
from store.errors import NotSerializable, StorageError

pytest.importorskip("cachelib", reason="cachelib is not installed: nothing of its cache was tested")

from store.integrations.cachelib import StoreCache

PAIRS = {"a": None, "b": False, "c": [1, (2,)], "d": {"x": b"\0"}, "e" * 5000: "long", "ü\0\ud800": "odd"}


@pytest.fixture(params=[1, 3], ids=["", "shards"])
def cache(request, place, clock) -> Iterator[StoreCache]:
    opened = StoreCache(place, default_timeout=100, clock=clock, shards=request.param)
    yield opened
    opened.close()


def test_values_come_back_by_keys_of_any_form(cache):
    assert all(cache.set(key, value) for key, value in PAIRS.items())
    assert [cache.get(key) for key in PAIRS] == [*PAIRS.values()]
    assert cache.get_many(*PAIRS, "none") == [*PAIRS.values(), None]
    assert cache.get_dict("a", "none", "c") == {"a": None, "none": None, "c": [1, (2,)]}
    assert [cache.has(key) for key in (*PAIRS, "none")] == [True] * len(PAIRS) + [False]


def test_key_that_is_no_text_is_refused(cache):
    with pytest.raises(TypeError, match="a key is a str, not bytes"):
        cache.set(b"key", 1)


def test_file_holds_no_key_unless_it_is_asked_to(cache, place):
    cache.set("session:secret", 1)
    assert [*cache.cache] == [hashlib.sha256(b"session:secret").hexdigest()]
    with_names = StoreCache(place, hashed=False, namespace="named")
    with_names.set("page:1", 2)
    assert ([*with_names.cache], with_names.get("page:1")) == (["page:1"], 2)
    with_names.close()


def test_many_are_stored_and_deleted_at_once(cache):
    assert cache.set_many(PAIRS) == [*PAIRS]
    assert cache.set_many({}) == []
    assert cache.delete_many("a", "none") == ["a", "none"]
    assert (cache.has("a"), cache.has("b")) == (False, True)
    assert (cache.delete("b"), cache.delete("b")) == (True, False)
    assert cache.clear() is True
    assert not any(map(cache.has, PAIRS))


def test_add_stores_only_what_is_absent(cache, clock):
    assert (cache.add("a", 1), cache.add("a", 2), cache.get("a")) == (True, False, 1)
    clock.advance(100)
    assert (cache.add("a", 3, 0), cache.get("a")) == (True, 3)
    assert (cache.add("a", 4, -1), cache.add("b", 4, -1), cache.has("b")) == (False, True, False)


@pytest.mark.parametrize("timeout, seconds", [(None, 100), (5, 5), (0.5, 0.5), (timedelta(minutes=1), 60)])
def test_value_lives_for_its_timeout(cache, clock, timeout, seconds):
    cache.set("a", 1, timeout)
    cache.set_many({"b": 1, "c": 2}, timeout)
    cache.add("d", 1, timeout)
    clock.advance(seconds - 0.1)
    assert all(map(cache.has, "abcd"))
    clock.advance(0.1)
    assert not any(map(cache.has, "abcd"))


@pytest.mark.parametrize("timeout", [0, timedelta()])
def test_timeout_of_nothing_is_for_ever_and_below_it_not_at_all(cache, clock, timeout):
    cache.set("a", 1, timeout)
    cache.set("b", 1)
    cache.set("b", 2, timeout=-1)
    clock.advance(1e9)
    assert (cache.get("a"), cache.has("b")) == (1, False)


def test_default_timeout(place, clock):
    with pytest.raises(ValueError, match="0 is for ever"):
        StoreCache(place, default_timeout=-1)
    cache = StoreCache(place, timedelta(), clock=clock)
    cache.set("a", 1)
    cache.inc("n")
    clock.advance(1e9)
    assert (cache.default_timeout, cache.get("a"), cache.get("n")) == (0, 1, 1)
    cache.close()


def test_counting_is_one_step_and_keeps_the_expiry(cache, clock):
    assert [cache.inc("n"), cache.inc("n", 5), cache.dec("n", 2), cache.dec("m")] == [1, 6, 4, -1]
    clock.advance(60)
    cache.inc("n")
    clock.advance(40)
    assert not cache.has("n")
    cache.set("x", "text")
    with pytest.raises(TypeError, match="whole numbers"):
        cache.inc("x")


@pytest.mark.slow
def test_processes_count_together(place, crowd):
    code = """
        from store.integrations.cachelib import StoreCache
        cache = StoreCache(sys.argv[1])
        for _ in range(50):
            cache.inc("n")
        print(json.dumps(cache.add("first", 1)))
    """
    assert sorted(crowd(3, code, place)) == [False, False, True]
    cache = StoreCache(place)
    assert cache.get("n") == 150
    cache.close()


def test_value_that_cannot_be_pickled_is_a_pickling_error_as_cachelib_says(cache):
    with pytest.raises(PicklingError) as caught:
        cache.set("a", lambda: None)
    assert isinstance(caught.value, NotSerializable) and not cache.has("a")


@pytest.mark.parametrize("cache", [1], ids=[""], indirect=True)  # others write to the one namespace
@pytest.mark.damaged
def test_value_that_cannot_be_read_is_absent_and_logged_without_its_key(cache, place, caplog):
    cache.set_many({"secret": 1, "other": 2})
    with pytest.warns(UserWarning, match="sealed with a key"):
        foreign = Cache(place, key="a key of somebody else")
    with foreign:
        foreign[hashlib.sha256(b"secret").hexdigest()] = pytest.Item  # no plain data
    assert (cache.get("secret"), cache.get_many("secret", "other")) == (None, [None, 2])
    assert "cannot be read: Untrusted" in caplog.text and "secret" not in caplog.text


@pytest.mark.parametrize("cache", [1], ids=[""], indirect=True)  # others write to the one namespace
@pytest.mark.damaged
@pytest.mark.filterwarnings("ignore:.*sealed with a key")
@pytest.mark.parametrize("value", [7, {"user": "admin"}, pytest.Item])
def test_value_that_none_of_your_keys_sealed_is_absent_for_all_operations(cache, place, value):
    def plant():
        with Cache(place, key="a key of somebody else") as foreign:
            foreign[hashlib.sha256(b"k").hexdigest()] = value  # plain data too: they could be a session

    cache.set("other", 1)
    plant()
    assert (cache.get("k"), cache.get_many("k", "other")) == (None, [None, 1])
    assert (cache.inc("k", 2), cache.dec("k"), cache.get("k")) == (2, 1, 1)
    plant()
    assert (cache.add("k", 5), cache.add("k", 6), cache.get("k")) == (True, False, 5)


def test_failure_of_the_disk_does_not_pass_for_success(cache, monkeypatch):
    def failing(self, row):
        raise StorageError("no space left on the device", errno=errno.ENOSPC)

    monkeypatch.setattr("store.opened.namespace.Namespace.put", failing)
    with pytest.raises(StorageError, match="no space"):
        cache.set("a", 1)


def test_wrong_option_says_what_is_right(place):
    with pytest.raises(TypeError, match="Cache has no option 'max_record'; did you mean 'max_records'"):
        StoreCache(place, max_record=100)
    with pytest.raises(TypeError, match=r"no option 'threshold'; its options are .*max_records"):
        StoreCache(place, threshold=100)


def test_bounds_are_those_of_a_cache(place):
    cache = StoreCache(place, max_records=100, policy="fifo")
    cache.set_many({str(n): n for n in range(300)})
    assert len(cache.cache) <= 105 and cache.has("299")
    cache.close()


# -- Flask-Caching


@pytest.fixture
def caching():
    flask_caching = pytest.importorskip("flask_caching", reason="Flask-Caching is not installed: it was not tested")
    from flask import Flask

    opened = []

    def start(cache_type, **config):
        app = Flask("test")
        app.config.update(CACHE_TYPE=cache_type, **config)
        caching = flask_caching.Cache(app)
        opened.append(app.extensions["cache"][caching])
        return app, caching

    yield start
    for backend in opened:
        backend.close()


@pytest.mark.parametrize("way", ["args", "options"])
def test_flask_caching_takes_it_by_its_dotted_name(caching, place, way):
    config = {"CACHE_ARGS": [place]} if way == "args" else {"CACHE_OPTIONS": {"location": place, "max_records": 10}}
    app, cache = caching("store.integrations.cachelib.StoreCache", CACHE_DEFAULT_TIMEOUT=50, **config)
    calls = []

    @app.get("/")
    @cache.cached()
    def page():
        calls.append("page")
        return "page"

    @cache.memoize(60)
    def double(n):
        calls.append(n)
        return n * 2

    assert [app.test_client().get("/").text for _ in range(2)] == ["page", "page"]
    with app.app_context():
        assert [double(2), double(2)] == [4, 4]
        cache.delete_memoized(double)
        assert double(2) == 4
    assert calls == ["page", 2, 2]
    assert app.extensions["cache"][cache].default_timeout == 50


def test_flask_caching_takes_its_factory_by_a_name_of_the_programs(caching, place, monkeypatch):
    import sys
    from types import ModuleType

    module = ModuleType("program_of_a_test")
    module.make = StoreCache.factory
    monkeypatch.setitem(sys.modules, "program_of_a_test", module)
    app, cache = caching("program_of_a_test.make", CACHE_ARGS=[place])
    with app.app_context():
        cache.set("a", 1)
        assert cache.get("a") == 1


# -- Flask-Session


@pytest.fixture
def app(cache):
    """An application with Flask-Session on the cache."""
    flask_session = pytest.importorskip("flask_session", reason="Flask-Session is not installed: it was not tested")
    from flask import Flask, request, session

    app = Flask("test")
    app.config.update(SESSION_TYPE="cachelib", SESSION_CACHELIB=cache, PERMANENT_SESSION_LIFETIME=50)
    flask_session.Session(app)

    @app.post("/set")
    def set_values():
        session.update(request.get_json())
        return "set"

    @app.get("/all")
    def all_values():
        return {name: value for name, value in session.items() if name != "_permanent"}

    @app.post("/login")
    def login():
        app.session_interface.regenerate(session)
        return "in"

    @app.post("/logout")
    def logout():
        session.clear()
        return "out"

    return app


def test_flask_session_keeps_its_sessions_in_it(app, cache, clock):
    client = app.test_client()
    client.post("/set", json={"a": [1]})
    id = client.get_cookie("session").value
    assert client.get("/all").get_json() == {"a": [1]}
    assert cache.get(f"session:{id}") == {"_permanent": True, "a": [1]}
    client.post("/login")
    assert client.get_cookie("session").value != id and not cache.has(f"session:{id}")
    clock.advance(49)
    assert client.get("/all").get_json() == {"a": [1]}  # and refreshed
    clock.advance(49)
    assert client.get("/all").get_json() == {"a": [1]}
    clock.advance(50)
    assert client.get("/all").get_json() == {}


def test_flask_session_deletes_what_was_cleared(app, cache):
    client = app.test_client()
    client.post("/set", json={"a": 1})
    client.post("/logout")
    assert (client.get_cookie("session"), len(cache.cache)) == (None, 0)


def test_flask_session_does_not_save_on_a_full_disk(app, cache, monkeypatch):
    client = app.test_client()
    client.post("/set", json={"a": 1})

    def failing(self, row):
        raise StorageError("no space left on the device", errno=errno.ENOSPC)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("store.opened.namespace.Namespace.put", failing)
        assert client.post("/set", json={"a": 2}).status_code == 500
    assert client.get("/all").get_json() == {"a": 1}
