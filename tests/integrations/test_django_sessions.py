"""Django's sessions on a store: its contract, and what users report of other session engines, as tests."""

from __future__ import annotations

import errno
import json
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from store import Store
from store.errors import NotSerializable, StorageError
from store.sessions import Sessions

pytest.importorskip("django", reason="Django is missing: its sessions were not tested")

from asgiref.sync import async_to_sync
from django_settings import set_up

set_up()

from django.contrib.sessions.backends.base import CreateError, UpdateError  # noqa: E402
from django.contrib.sessions.exceptions import SessionInterrupted  # noqa: E402
from django.contrib.sessions.middleware import SessionMiddleware  # noqa: E402
from django.core.exceptions import ImproperlyConfigured  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.serializers.json import DjangoJSONEncoder  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.test import override_settings  # noqa: E402

from store.integrations.django.handles import close_all  # noqa: E402
from store.integrations.django.sessions import SessionStore, sessions  # noqa: E402

ENGINE = "store.integrations.django.sessions"
Ask = Callable[..., Any]


# About the one namespace, or bounds that do not divide.
ONE_PART = pytest.mark.parametrize("configured", [1], ids=[""], indirect=True)


@pytest.fixture(autouse=True, params=[1, 3], ids=["", "shards"])
def configured(request: pytest.FixtureRequest) -> Iterator[None]:
    if "place" not in request.fixturenames:
        yield
        return
    place, clock = request.getfixturevalue("place"), request.getfixturevalue("clock")
    with override_settings(
        SESSION_ENGINE=ENGINE, STORE_SESSION_LOCATION=place, STORE_SESSION_OPTIONS={"clock": clock, "shards": request.param}
    ):
        yield
    close_all()


@pytest.fixture
def ask() -> Ask:
    """Sends a request through Django's middleware: `ask(view, cookie)` gives the response, and the cookie after it."""

    def send(view: Callable[[Any], Any], cookie: str | None = None) -> tuple[Any, str | None]:
        def get_response(request: HttpRequest) -> HttpResponse:
            result = view(request.session)
            return result if isinstance(result, HttpResponse) else HttpResponse(str(result))

        request = HttpRequest()
        if cookie is not None:
            request.COOKIES["sessionid"] = cookie
        response = SessionMiddleware(get_response)(request)
        set_cookie = response.cookies.get("sessionid")
        return response, cookie if set_cookie is None else set_cookie.value

    return send


def new(**data: Any) -> SessionStore:
    session = SessionStore()
    session.update(data)
    session.save()
    return session


def stored(session: SessionStore) -> Any:
    return sessions().load(session.session_key)


def put(**values: Any) -> Callable[[Any], None]:
    return lambda session: session.update(values)


# -- the contract


def test_location_is_asked_for() -> None:
    with override_settings(SESSION_ENGINE=ENGINE), pytest.raises(ImproperlyConfigured, match="STORE_SESSION_LOCATION"):
        SessionStore("a" * 32).load()


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [({"ttl": 60}, ImproperlyConfigured, "SESSION_COOKIE_AGE"), ({"codecs": "json"}, TypeError, "did you mean 'codec'")],
)
def test_wrong_option_says_what_is_right(place: str, options: Any, error: type[Exception], says: str) -> None:
    with override_settings(STORE_SESSION_OPTIONS=options), pytest.raises(error, match=says):
        SessionStore().exists("b" * 32)


def test_key_is_of_the_length_that_django_has(place: str) -> None:
    session = new(a=1)
    assert len(session.session_key) == 32
    assert SessionStore().exists(session.session_key) and not SessionStore().exists("b" * 32)


def test_file_holds_no_key_and_is_private(path: Any, clock: Any) -> None:
    with override_settings(STORE_SESSION_LOCATION=path, STORE_SESSION_OPTIONS={"clock": clock}):
        session = new(a=1)
        with Store[Any](path, namespace="sessions") as s:
            (name,) = s
            assert session.session_key not in name
        close_all()
        for file in path.parent.glob("app.db*"):
            assert session.session_key.encode() not in file.read_bytes()
            assert file.stat().st_mode & 0o077 == 0


def test_deleted_session_is_not_saved_again(place: str) -> None:
    session = new(a=1)
    SessionStore(session.session_key).delete()
    for change in (put(a=2), put(), lambda session: session.clear()):
        change(session)
        with pytest.raises(UpdateError):
            session.save()
    assert len(sessions()) == 0


def test_session_that_is_there_is_not_created_again(place: str) -> None:
    session = new(a=1)
    other = SessionStore(session.session_key)
    with pytest.raises(CreateError):
        other.save(must_create=True)
    assert stored(session) == {"a": 1}


def test_expiry(place: str, clock: Any) -> None:
    default, own, over = new(a=1), new(a=1), new(a=1)
    own.set_expiry(60)
    own.save()
    over.set_expiry(timedelta(seconds=-5))
    over.save()
    assert stored(over) is None
    clock.advance(59)
    assert SessionStore(own.session_key)["a"] == 1
    clock.advance(1)
    assert SessionStore(own.session_key).load() == {}
    assert SessionStore(default.session_key)["a"] == 1
    clock.advance(14 * 24 * 3600)
    assert SessionStore(default.session_key).load() == {}


@ONE_PART
def test_clearsessions(place: str, clock: Any) -> None:
    for number in range(3):
        new(number=number)
    clock.advance(15 * 24 * 3600)
    alive = new(a=1)
    call_command("clearsessions")
    assert [record.name for record in sessions().records()] == [sessions().record(alive.session_key).name]
    async_to_sync(SessionStore.aclear_expired)()
    sessions().store.opened.check_open()
    with Store[Any](place, namespace="sessions", clock=lambda: 0.0, trust="own") as s:
        assert len(s) == 1  # the expired ones are gone, not only absent


def test_serializer_of_the_settings_is_used(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    session = new(pair=(1, 2), of={3: "three"})
    assert stored(session) == {"pair": [1, 2], "of": {"3": "three"}}  # as Django's own engines store them
    session = SessionStore()
    session["when"] = timedelta(seconds=5)
    with pytest.raises(TypeError, match="not JSON serializable"):
        session.save()
    with override_settings(SESSION_SERIALIZER=f"{__name__}.Dates"):
        session = new(when=timedelta(seconds=5))
        assert stored(session) == {"when": "P0DT00H00M05S", "made": "by Dates"}
        assert SessionStore(session.session_key)["read"] == "by Dates"
    with override_settings(SESSION_SERIALIZER=f"{__name__}.NoJSON"):
        with pytest.raises(ImproperlyConfigured, match=r"codec.*pickle"):
            new(a=1)


class Dates:
    def dumps(self, obj: Any) -> bytes:
        return json.dumps({**obj, "made": "by Dates"}, cls=DjangoJSONEncoder).encode()

    def loads(self, data: bytes) -> Any:
        return {**json.loads(data), "read": "by Dates"}


class NoJSON:
    def dumps(self, obj: Any) -> bytes:
        return b"\x80\x81"


def test_objects_by_pickle(place: str, clock: Any) -> None:
    with override_settings(STORE_SESSION_OPTIONS={"clock": clock, "codec": "pickle"}):
        session = new(when=timedelta(seconds=5), pair=(1, {2}))
        assert dict(SessionStore(session.session_key).items()) == {"when": timedelta(seconds=5), "pair": (1, {2})}


def test_coroutines(place: str) -> None:
    async def use() -> None:
        session = SessionStore()
        await session.aset("a", 1)
        await session.asave()
        key = session.session_key
        await session.acycle_key()
        assert not await session.aexists(key) and await session.aexists(session.session_key)
        assert await session.aget("a") == 1
        assert await session.amodify(lambda data: data.setdefault("b", 2)) == 2
        assert await SessionStore(session.session_key).aload() == {"a": 1, "b": 2}
        await session.aset("_auth_user_id", "7")
        await session.asave()
        assert await SessionStore.aend_all(7) == 1
        assert not await session.aexists(session.session_key)
        await session.aflush()

    async_to_sync(use)()  # in this thread, where asgiref would start one that stays


# -- what users report of peers


def test_two_requests_at_once_lose_nothing(place: str, ask: Ask) -> None:
    _, cookie = ask(put(cart=["tea"], of={"x": 1}, gone=1))

    def slow(session: Any) -> None:
        session["seen"] = session["cart"]
        del session["gone"]

        def fast(session: Any) -> None:
            session["cart"] = [*session["cart"], "cups"]
            session["of"]["y"] = 2

        ask(fast, cookie)

    ask(slow, cookie)
    assert sessions().load(cookie) == {"seen": ["tea"], "cart": ["tea", "cups"], "of": {"x": 1, "y": 2}}


def test_edit_is_one_step(place: str, ask: Ask) -> None:
    _, cookie = ask(put(count=0))
    barrier = threading.Barrier(4)

    def count() -> None:
        barrier.wait(30)
        for _ in range(5):
            ask(increment, cookie)

    def increment(session: Any) -> None:
        with session.edit() as data:
            data["count"] += 1

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sessions().load(cookie) == {"count": 20}


def test_edit_of_a_new_session_and_beside_changes(place: str, ask: Ask) -> None:
    def change(session: Any) -> str:
        session["a"] = 1
        with session.edit() as data:
            data["b"] = 2
        session["c"] = session["b"] + 1
        return str(session.modified)

    _, cookie = ask(change)
    assert sessions().load(cookie) == {"a": 1, "b": 2, "c": 3}
    with pytest.raises(ZeroDivisionError):
        with SessionStore(cookie).edit() as data:
            data["d"] = 1 / 0
    session = SessionStore(cookie)
    assert session["a"] == 1
    SessionStore(cookie).delete()
    with pytest.raises(SessionInterrupted), session.edit():
        pytest.fail("there is no session")


@pytest.mark.parametrize("how", ["logout", "login"])
def test_late_response_brings_nothing_back(place: str, ask: Ask, how: str) -> None:
    _, cookie = ask(put(a=1))

    def late(session: Any) -> None:
        session["late"] = session["a"]
        ask(lambda session: session.flush() if how == "logout" else session.cycle_key(), cookie)

    with pytest.raises(SessionInterrupted):
        ask(late, cookie)
    assert sessions().load(cookie) is None
    assert len(sessions()) == (0 if how == "logout" else 1)


def test_login_keeps_what_others_saved_meanwhile(place: str, ask: Ask) -> None:
    _, cookie = ask(put(cart=["tea"]))

    def login(session: Any) -> None:
        session.get("cart")
        ask(put(cart=["tea", "cups"]), cookie)
        session.cycle_key()
        session["user"] = 7

    _, after = ask(login, cookie)
    assert after != cookie and sessions().load(cookie) is None
    assert sessions().load(after) == {"cart": ["tea", "cups"], "user": 7}


def test_login_in_a_session_that_ended_meanwhile(place: str, ask: Ask) -> None:
    _, cookie = ask(put(secret=1))

    def login(session: Any) -> None:
        session.get("secret")
        ask(lambda session: session.flush(), cookie)
        session.cycle_key()
        session["user"] = 7

    _, after = ask(login, cookie)
    assert sessions().load(after) == {"user": 7}


@ONE_PART
def test_sliding_expiry_rewrites_nothing(place: str, ask: Ask, clock: Any) -> None:
    _, cookie = ask(put(a=[1]))
    before = sessions().store.opened.engine.get("sessions", [sessions().record(cookie).name])
    with override_settings(SESSION_SAVE_EVERY_REQUEST=True):
        for _ in range(3):
            clock.advance(10 * 24 * 3600)
            ask(lambda session: session["a"], cookie)
    after = sessions().store.opened.engine.get("sessions", [sessions().record(cookie).name])
    (old,), (row,) = before.values(), after.values()
    assert (row.body, row.created) == (old.body, old.created)
    assert row.expires == clock.now + 14 * 24 * 3600


def test_request_that_changes_nothing_writes_nothing(place: str, ask: Ask) -> None:
    _, cookie = ask(put(a=[1]))
    before = sessions().record(cookie)
    assert "sessionid" not in ask(lambda session: session["a"], cookie)[0].cookies
    assert sessions().record(cookie) == before


@pytest.mark.parametrize("cookie", ["a" * 32, "abcdefgh12345678abcdefgh12345678", "x", "", "ü" * 32, "../../etc/passwd", "eyJhIjoxfQ.ZfX.sig" * 9, "a\0b" * 11])
def test_unknown_key_is_not_adopted(place: str, ask: Ask, cookie: str) -> None:
    response, after = ask(lambda session: session.get("a"), cookie)
    assert response.content == b"None" and len(sessions()) == 0
    _, after = ask(put(a=1), cookie)  # SessionInterrupted would be a 400
    assert after != cookie and sessions().load(cookie) is None
    assert sessions().load(after) == {"a": 1}

    def edit(session: Any) -> None:
        with session.edit() as data:
            data["b"] = 2

    _, after = ask(edit, cookie)
    assert after != cookie and sessions().load(cookie) is None
    assert sessions().load(after) == {"b": 2}


@ONE_PART
@pytest.mark.damaged
def test_record_that_cannot_be_trusted_is_a_new_session(
    place: str, ask: Ask, clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    _, cookie = ask(put(user="ann"))
    name = sessions().record(cookie).name
    close_all()
    with pytest.warns(UserWarning) as warned, caplog.at_level(logging.WARNING):
        with Store[Any](place, namespace="sessions", key=b"k" * 32, clock=clock) as stranger:
            stranger.put(name, {"user": "root"}, codec="json")
        response, _ = ask(lambda session: session.get("user"), cookie)
    assert response.content == b"None"
    (record,) = (record for record in caplog.records if record.name == "django.security.SuspiciousSession")
    assert cookie not in caplog.text and name not in record.getMessage()
    assert not any(cookie in str(one.message) for one in warned)
    _, after = ask(put(user="ann"), cookie)
    assert after != cookie and sessions().load(after) == {"user": "ann"}


def test_full_disk_is_an_error_and_the_old_session_stands(
    place: str, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, cookie = ask(put(a=1))

    def full(*args: Any, **kwargs: Any) -> None:
        raise StorageError("no space left", errno=errno.ENOSPC)

    with monkeypatch.context() as patched:
        for name in ("modify", "edit", "save", "create", "touch"):
            patched.setattr(Sessions, name, full)
        with pytest.raises(StorageError):
            ask(put(a=2), cookie)
        with pytest.raises(StorageError):
            ask(put(a=2))
    assert (sessions().load(cookie), len(sessions())) == ({"a": 1}, 1)


def test_value_that_cannot_be_stored_leaves_the_old_session(place: str, ask: Ask, clock: Any) -> None:
    with override_settings(STORE_SESSION_OPTIONS={"clock": clock, "codec": "pickle"}):
        _, cookie = ask(put(a=1))
        with pytest.raises(NotSerializable):
            ask(put(a=threading.Lock()), cookie)
        assert sessions().load(cookie) == {"a": 1}


def test_saving_twice_is_saving_once(place: str) -> None:
    session = new(a=[])
    session["a"].append(1)
    session.save()
    session.save()
    other = SessionStore(session.session_key)
    other["b"] = 2
    other.save()
    session.save()
    assert stored(session) == {"a": [1], "b": 2}


def test_cleared_session_has_nothing_of_before(place: str) -> None:
    session = new(a=1)
    other = SessionStore(session.session_key)
    other.clear()
    other["b"] = 2
    other.save()
    assert stored(session) == {"b": 2}


def test_all_sessions_of_a_user_are_ended(place: str) -> None:
    mine = [new(_auth_user_id="7", number=number) for number in range(3)]
    others = [new(_auth_user_id="8"), new(a=1)]
    assert (SessionStore.end_all(7), SessionStore.end_all("7")) == (3, 0)
    assert [stored(session) for session in mine] == [None] * 3
    assert all(stored(session) for session in others)


@pytest.mark.heavy
def test_processes_lose_no_edit(place: str, crowd: Any) -> None:
    program = f"""
    sys.path.insert(0, {json.dumps(str(__import__("pathlib").Path(__file__).parents[1] / "samples"))})
    from django_settings import set_up
    set_up(STORE_SESSION_LOCATION=sys.argv[1])
    from store.integrations.django.sessions import SessionStore
    for _ in range(10):
        request = SessionStore(sys.argv[2])
        with request.edit() as data:
            data["count"] += 1
        request["of " + sys.argv[3]] = request.get("of " + sys.argv[3], 0) + 1
        request.save()
    print(json.dumps(1))
    """
    with override_settings(STORE_SESSION_OPTIONS={}):  # by the clock of the processes
        session = new(count=0)
        crowd(3, program, place, session.session_key)
        assert stored(session) == {"count": 30, "of 0": 10, "of 1": 10, "of 2": 10}
