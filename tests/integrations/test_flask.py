"""Flask's sessions on a store: as Flask's own, and what users report of its peers."""

from __future__ import annotations

import errno
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from store import Store
from store.errors import StorageError
from store.sessions import NoSuchSession, Sessions

flask = pytest.importorskip("flask", reason="Flask is not installed: nothing of its sessions was tested")

from flask import Flask, flash, get_flashed_messages, request, session  # noqa: E402
from markupsafe import Markup  # noqa: E402

from store.integrations.flask import StoreSession, StoreSessionInterface  # noqa: E402

ID = re.compile(r"session=([\w-]{40,});")


@pytest.fixture(params=[1, 3], ids=["", "shards"])
def shards(request):
    return request.param


@pytest.fixture
def app(place, clock, shards):
    app = Flask("test")
    app.testing = False
    app.session_interface = StoreSessionInterface(place, clock=clock, shards=shards)

    @app.post("/set")
    def set_values():
        session.update(request.get_json())
        return "set"

    @app.get("/all")
    def all_values():
        return dict(session)

    @app.get("/none")
    def none():
        return "none"

    @app.post("/login/<user>")
    def login(user):
        app.session_interface.regenerate(session, user)
        session["user"] = user
        return "in"

    @app.post("/logout")
    def logout():
        session.clear()
        return "out"

    app._check_setup_finished = lambda name: None  # a test adds its page after the first request
    yield app
    app.session_interface.close()


@pytest.fixture
def client(app):
    return app.test_client()


@pytest.fixture
def sessions(app) -> Sessions:
    return app.session_interface.sessions


def id_of(client) -> str | None:
    cookie = client.get_cookie("session")
    return None if cookie is None else cookie.value


def with_id(app, id: str):
    """Another request of the visitor who has that id."""
    other = app.test_client()
    other.set_cookie("session", id)
    return other


def left(sessions: Sessions, id: str, clock) -> float:
    return sessions.record(id).expires.timestamp() - clock.now


# -- as Flask's own


def test_what_a_request_sets_the_next_one_has(client, sessions):
    client.post("/set", json={"a": [1, None], "b": {"c": "ü"}})
    assert client.get("/all").get_json() == {"a": [1, None], "b": {"c": "ü"}}
    assert len(sessions) == 1
    assert sessions.load(id_of(client)) == {"a": [1, None], "b": {"c": "ü"}}


def test_request_without_a_session_makes_none_and_sets_no_cookie(client, sessions):
    for page in ("/none", "/all"):
        assert "Set-Cookie" not in client.get(page).headers
    assert len(sessions) == 0


def test_vary_is_set_where_the_session_was_read_only(client):
    assert client.get("/all").headers["Vary"] == "Cookie"
    assert "Vary" not in client.get("/none").headers


def test_messages_dates_and_the_like_come_back(app, client):
    now = datetime.now(UTC)

    @app.post("/flash")
    def flashes():
        flash("Hello")
        flash(Markup("<b>x</b>"), "error")
        session["at"], session["pair"], session["ids"], session[5] = now, (1, 2), {3}, "five"
        return "flashed"

    @app.get("/messages")
    def messages():
        found = get_flashed_messages(with_categories=True)
        assert (session["at"], session["pair"], session["ids"], session[5]) == (now, (1, 2), {3}, "five")
        assert all(isinstance(text, Markup) == (category == "error") for category, text in found)
        return [list(pair) for pair in found]

    client.post("/flash")
    assert client.get("/messages").get_json() == [["message", "Hello"], ["error", "<b>x</b>"]]
    assert client.get("/messages").get_json() == []


def test_value_that_would_not_round_trip_is_an_error_of_the_page_that_says_where(app, client, caplog):
    @app.post("/odd")
    def odd():
        session["a"] = {"b": object()}
        return "odd"

    client.post("/set", json={"n": 1})
    assert client.post("/odd").status_code == 500
    assert "value['a']['b']: a session has no object" in caplog.text
    assert client.get("/all").get_json() == {"n": 1}


def test_codec_pickle_holds_any_object(place):
    app = Flask("test")
    app.session_interface = StoreSessionInterface(place, codec="pickle")

    @app.get("/<int:number>")
    def page(number):
        session.setdefault("path", Path("/x"))
        return str(session["path"])

    with app.test_client() as client:
        assert [client.get("/1").text, client.get("/2").text] == ["/x", "/x"]
    assert app.session_interface.pickle_based
    app.session_interface.close()


def test_change_inside_a_value_is_stored_too(app, client):
    @app.post("/append")
    def append():
        session["a"].append(2)
        return "appended"

    client.post("/set", json={"a": [1]})
    client.post("/append")
    assert client.get("/all").get_json() == {"a": [1, 2]}


def test_cleared_session_is_deleted_with_its_cookie(client, sessions):
    client.post("/set", json={"a": 1})
    answer = client.post("/logout")
    assert "Max-Age=0" in answer.headers["Set-Cookie"]
    assert (id_of(client), len(sessions)) == (None, 0)


def test_cookie_is_as_the_configuration_has_it(app, client):
    app.config.update(
        SESSION_COOKIE_NAME="visitor", SESSION_COOKIE_DOMAIN="localhost", SESSION_COOKIE_PATH="/set",
        SESSION_COOKIE_SECURE=True, SESSION_COOKIE_SAMESITE="Lax", SESSION_COOKIE_PARTITIONED=True,
    )  # fmt: skip
    header = client.post("/set", json={"a": 1}).headers["Set-Cookie"]
    for part in ("visitor=", "Domain=localhost", "Path=/set", "Secure", "HttpOnly", "SameSite=Lax", "Partitioned"):
        assert part in header
    assert "Expires" not in header


def test_cookie_of_a_permanent_session_expires_and_is_refreshed(app, client):
    client.post("/set", json={"_permanent": True})
    assert "Expires=" in client.get("/none").headers["Set-Cookie"]
    app.config["SESSION_REFRESH_EACH_REQUEST"] = False
    assert "Set-Cookie" not in client.get("/none").headers


def test_session_lives_as_long_as_the_configuration_says(app, client, sessions, clock):
    app.permanent_session_lifetime = timedelta(seconds=100)
    client.post("/set", json={"a": 1})
    assert left(sessions, id_of(client), clock) == 100
    clock.advance(100)
    assert client.get("/all").get_json() == {}


def test_ttl_is_flasks(place):
    with pytest.raises(TypeError, match="PERMANENT_SESSION_LIFETIME"):
        StoreSessionInterface(place, ttl=5)


def test_store_that_is_open_already_is_taken_and_left_open(place):
    with Store(place, trust="own") as store:
        interface = StoreSessionInterface(store)
        interface.close()
        store["still"] = "open"


# -- sliding expiry


def test_request_that_changes_nothing_moves_the_expiry_only(app, client, sessions, clock):
    app.permanent_session_lifetime = timedelta(seconds=100)
    client.post("/set", json={"a": 1})
    store, id = sessions.store, id_of(client)
    clock.advance(40)
    encoded = []
    pack = type(store.opened).pack_again
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(type(store.opened), "pack_again", lambda *args: encoded.append(args) or pack(*args))
        client.get("/all")
        assert (left(sessions, id, clock), encoded) == (100, [])
        client.post("/set", json={"a": 2})
        assert len(encoded) == 1  # so would it be seen


def test_without_refreshing_only_a_change_moves_the_expiry(app, client, sessions, clock):
    app.config["SESSION_REFRESH_EACH_REQUEST"] = False
    app.permanent_session_lifetime = timedelta(seconds=100)
    client.post("/set", json={"a": 1})
    version = sessions.record(id_of(client)).version
    clock.advance(40)
    client.get("/all")
    assert (left(sessions, id_of(client), clock), sessions.record(id_of(client)).version) == (60, version)
    client.post("/set", json={"a": 2})
    assert left(sessions, id_of(client), clock) == 100


# -- ids


@pytest.mark.parametrize("forged", ["A" * 43, "x", "é" * 43, "../../etc/passwd", "eyJhIjoxfQ.aSxtQw.FZ2kEYg", "\0" * 43])
def test_unknown_id_is_never_adopted(app, sessions, forged):
    client = with_id(app, "0")
    answer = client.post("/set", json={"a": 1}, headers={"Cookie": f"session={forged}".encode().decode("latin-1")})
    assert answer.status_code == 200
    (id,) = ID.findall(answer.headers["Set-Cookie"])
    assert id != forged and sessions.load(id) == {"a": 1} and sessions.load(forged) is None


def test_cookie_of_flasks_own_sessions_gives_a_new_one(place):
    app = Flask("test")
    app.secret_key = "of another application"

    @app.get("/")
    def page():
        session["n"] = session.get("n", 0) + 1
        return str(session["n"])

    with app.test_client() as client:
        client.get("/")
        app.session_interface = StoreSessionInterface(place)
        assert [client.get("/").text, client.get("/").text] == ["1", "2"]
    app.session_interface.close()


def test_store_has_no_id(client, sessions):
    client.post("/set", json={"a": 1})
    assert id_of(client) not in str([*sessions.records()])
    assert "session=" not in repr(StoreSession({"a": 1}, "secret")) and "secret" not in repr(StoreSession({}, "secret"))


def test_login_changes_the_id_and_ends_the_old_one(app, client, sessions):
    client.post("/set", json={"cart": ["tea"]})
    old = id_of(client)
    client.post("/login/ann")
    assert id_of(client) != old
    assert client.get("/all").get_json() == {"cart": ["tea"], "user": "ann"}
    assert with_id(app, old).get("/all").get_json() == {}
    assert len(sessions) == 1


def test_old_id_never_has_the_new_rights(app, client, sessions):
    """Nor is a login lost whose session another login has moved meanwhile: it begins a session of its own."""
    client.post("/set", json={"cart": ["tea"]})
    seen = []

    @app.post("/slow/<user>")
    def slow(user):
        old = session.id
        app.session_interface.regenerate(session, user)
        session["user"] = user
        with app.session_interface.edit(session) as data:
            data["edited"] = True
        seen.append(sessions.load(old))
        if user == "ann":
            seen.append(sessions.rotate(old))
        return "in"

    client.post("/slow/ann")
    assert seen[0] == {"cart": ["tea"]}
    assert sessions.load(seen[1]) == {"cart": ["tea"]}
    assert client.get("/all").get_json() == {"user": "ann", "edited": True}


def test_user_is_logged_out_everywhere(app, client, sessions):
    others = [app.test_client() for _ in range(3)]
    for one in (client, *others):
        one.post("/login/ann")
    with_bob = app.test_client()
    with_bob.post("/login/bob")
    assert sessions.by("ann").end(but=id_of(client)) == 3
    assert [one.get("/all").get_json() for one in (client, *others)] == [{"user": "ann"}, {}, {}, {}]
    assert with_bob.get("/all").get_json() == {"user": "bob"}


# -- requests at once, and late responses


def nested(app, client, action):
    """Has a request of the session do `action(first id)` in its middle, before it is saved; its response."""

    @app.post("/nested")
    def middle():
        before = session["n"]
        action(session.id)
        session["n"] = before + 1
        session.setdefault("list", []).append("slow")
        session.setdefault("dict", {})["slow"] = 1
        return "done"

    client.post("/set", json={"n": 0, "list": ["first"], "dict": {}, "other": 1, "gone": 1})
    return client.post("/nested")


def test_two_requests_at_once_lose_nothing(app, client):
    @app.post("/fast")
    def fast():
        session["other"] = 2
        del session["gone"]
        session["list"].append("fast")
        session["dict"]["fast"] = 1
        flash("from the fast one")
        return "fast"

    nested(app, client, lambda id: with_id(app, id).post("/fast"))
    assert client.get("/all").get_json() == {
        "n": 1, "other": 2, "list": ["first", "fast", "slow"], "dict": {"fast": 1, "slow": 1},
        "_flashes": [["message", "from the fast one"]],
    }  # fmt: skip


def test_edit_is_one_step_and_the_session_has_its_result(app, client):
    @app.post("/count")
    def count():
        session["mine"] = "kept"
        with app.session_interface.edit(session) as data:
            data["n"] = data.get("n", 0) + 1
        return str(session["n"])

    assert client.post("/count").text == "1"  # a new session
    id = id_of(client)
    assert [with_id(app, id).post("/count").text for _ in range(3)] == ["2", "3", "4"]
    assert client.get("/all").get_json() == {"n": 4, "mine": "kept"}


def test_edit_of_a_session_that_has_ended_says_so(app, client, sessions):
    @app.post("/ended")
    def ended():
        sessions.delete(session.id)
        with pytest.raises(NoSuchSession), app.session_interface.edit(session):
            raise AssertionError("not reached")
        return "ended"

    client.post("/set", json={"n": 1})
    assert client.post("/ended").text == "ended"


def test_late_response_brings_no_session_back_that_was_logged_out(app, client, sessions):
    answer = nested(app, client, lambda id: with_id(app, id).post("/logout"))
    assert answer.status_code == 200 and "Set-Cookie" not in answer.headers
    assert len(sessions) == 0


def test_late_response_brings_no_session_back_that_was_rotated(app, client, sessions):
    """Nor does its cookie replace the new one, which the browser may have by then."""
    logged_in = []

    def login(id):
        other = with_id(app, id)
        other.post("/login/ann")
        logged_in.append(id_of(other))

    answer = nested(app, client, login)
    assert answer.status_code == 200 and "Set-Cookie" not in answer.headers
    assert len(sessions) == 1
    assert sessions.load(logged_in[0])["user"] == "ann" and sessions.load(logged_in[0])["n"] == 0


def test_late_response_that_changed_nothing_leaves_the_cookie_alone(app, client):
    @app.get("/late")
    def late():
        with_id(app, session.id).post("/logout")
        return "late"

    client.post("/set", json={"_permanent": True})
    assert "Set-Cookie" not in client.get("/late").headers


# -- failures


@pytest.mark.parametrize("shards", [1], ids=[""], indirect=True)  # it changes the one namespace
@pytest.mark.damaged
def test_broken_record_is_a_new_session_and_a_logged_warning_without_the_id(place, client, sessions, caplog):
    client.post("/set", json={"a": 1})
    id = id_of(client)
    with pytest.warns(UserWarning, match="sealed with a key"):
        s = Store(place, namespace="sessions", key="a key of somebody else")
    with s:
        (name,) = s.names()
        s[name] = {"user": "admin"}
    with pytest.warns(UserWarning, match="taken for absent"):
        answer = client.post("/set", json={"b": 2})
    assert answer.status_code == 200
    assert "cannot be read" in caplog.text and id not in caplog.text
    assert client.get("/all").get_json() == {"b": 2} and id_of(client) != id


@pytest.fixture
def disk(monkeypatch):
    """Has no room for a record while `disk["full"]` is true."""
    from store.opened.namespace import Namespace

    state, put = {"full": False, "tried": 0}, Namespace.put

    def limited(self, row):
        if state["full"]:
            state["tried"] += 1
            raise StorageError("no space left on the device", errno=errno.ENOSPC)
        return put(self, row)

    monkeypatch.setattr(Namespace, "put", limited)
    return state


@pytest.mark.parametrize("page", ["/set", "/login/ann"])
def test_full_disk_is_an_error_and_the_old_session_stands(client, sessions, disk, page):
    client.post("/set", json={"a": 1})
    id = id_of(client)
    disk["full"] = True
    answer = client.post(page, json={"a": 2})
    assert answer.status_code == 500 and "Set-Cookie" not in answer.headers
    assert disk["tried"] == 2  # Flask saves the session again for its page of the error
    disk["full"] = False
    assert (id_of(client), sessions.load(id), len(sessions)) == (id, {"a": 1}, 1)


def test_full_disk_is_no_new_session(client, sessions, disk):
    disk["full"] = True
    answer = client.post("/set", json={"a": 2})
    assert answer.status_code == 500 and "Set-Cookie" not in answer.headers
    assert len(sessions) == 0


def test_page_that_fails_saves_what_it_changed_once(app, client):
    @app.post("/fails")
    def fails():
        session["list"].append("x")
        raise RuntimeError("of the program")

    client.post("/set", json={"list": []})
    assert client.post("/fails").status_code == 500
    assert client.get("/all").get_json() == {"list": ["x"]}


@pytest.mark.parametrize("first", ["create", "edit"])
def test_saving_twice_is_as_saving_once(app, client, sessions, first, monkeypatch):
    """The first time it fails after the data were stored."""
    if first == "edit":
        client.post("/set", json={"list": ["x"]})
    failed = []
    touch, expires = Sessions.touch, app.session_interface.get_expiration_time

    def fail(call):
        def failing(*args, **options):
            if not failed:
                failed.append(1)
                raise StorageError("once", errno=errno.EIO)
            return call(*args, **options)

        return failing

    monkeypatch.setattr(Sessions, "touch", fail(touch))
    monkeypatch.setattr(app.session_interface, "get_expiration_time", fail(expires))

    @app.post("/append")
    def append():
        session["list"] = [*session.get("list", []), "y"]
        return "appended"

    assert client.post("/append").status_code == 500
    assert client.get("/all").get_json() == {"list": ["x", "y"] if first == "edit" else ["y"]}
    assert (len(sessions), failed) == (1, [1])


def test_store_that_cannot_be_read_is_an_error_of_the_page(client, sessions, monkeypatch, caplog):
    client.post("/set", json={"a": 1})

    def failing(self, id):
        raise StorageError("the disk failed", errno=errno.EIO)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Sessions, "load", failing)
        assert client.get("/all").status_code == 500
    assert "AttributeError" not in caplog.text
    assert client.get("/all").get_json() == {"a": 1}


# -- servers


GEVENT = """
import sys, time
from flask import Flask, session
from store.integrations.flask import StoreSessionInterface

app = Flask("test")  # as gunicorn's preload does it: the application first
app.session_interface = StoreSessionInterface(sys.argv[1])

@app.get("/")
def count():
    with app.session_interface.edit(session) as data:
        before = data.get("n", 0)
        if "://" not in sys.argv[1]:  # psycopg that was imported before blocks all greenlets, those with a lock too
            time.sleep(0)
        data["n"] = before + 1
    time.sleep(0)
    session.setdefault("seen", []).append(before)
    return str(session["n"])

if sys.argv[2] == "used":
    app.test_client().get("/")
from gevent import monkey
monkey.patch_all()
import gevent

first = app.test_client()
first.get("/")
id = first.get_cookie("session").value
def visit():
    client = app.test_client()
    client.set_cookie("session", id)
    for _ in range(4):
        assert client.get("/").status_code == 200
    return True
jobs = [gevent.spawn(visit) for _ in range(20)]
gevent.joinall(jobs, timeout=60, raise_error=True)
assert all(job.value for job in jobs)
data = app.session_interface.sessions.load(id)
assert data["n"] == 81 and sorted(data["seen"]) == list(range(81)), data
print("well")
"""


@pytest.mark.parametrize("when", ["opened", "used"])
@pytest.mark.slow
def test_gevent_may_patch_after_the_store_was_opened(place, when):
    pytest.importorskip("gevent")
    done = subprocess.run(
        [sys.executable, "-c", GEVENT, place, when], check=False, capture_output=True, text=True, timeout=100
    )
    assert (done.returncode, done.stdout) == (0, "well\n"), done.stderr


FORKED = """
import os, sys, json
from flask import Flask, session
from store.integrations.flask import StoreSessionInterface

app = Flask("test")
app.session_interface = StoreSessionInterface(sys.argv[1])

@app.get("/<name>")
def add(name):
    session.setdefault("names", []).append(name)
    return name

first = app.test_client()
first.get("/first")
id = first.get_cookie("session").value
children = []
for number in range(4):
    child = os.fork()
    if not child:
        client = app.test_client()
        client.set_cookie("session", id)
        for count in range(5):
            assert client.get(f"/{number}-{count}").status_code == 200
        os._exit(0)
    children.append(child)
assert all(os.waitpid(child, 0)[1] == 0 for child in children)
print(json.dumps(app.session_interface.sessions.load(id)["names"]))
"""


@pytest.mark.slow
def test_forked_workers_share_the_sessions(place, start):
    names = start(FORKED, place).result()
    assert sorted(names) == sorted(["first", *(f"{a}-{b}" for a in range(4) for b in range(5))])
