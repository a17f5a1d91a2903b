"""The password of the URL is in no message, `repr`, log, pickle or traceback; errors say what to do."""

from __future__ import annotations

import logging
import os
import pickle
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from free_ports import free_port
from postgres_server import CHECKED

from store import Store
from store.cli import main
from store.engines.postgres.location import parse
from store.errors import StorageError
from store.sessions import Sessions
from store.settings import Settings

SQL = Callable[..., list[Any]]
SECRET = "s3cr3t-of-the-url"

SOUND = {
    "user": f"postgresql://me:{SECRET}@h/db",
    "several hosts": f"postgresql://me:{SECRET}@h1:5432,h2:5433,[::1]:5/db?target_session_attrs=read-write",
    "encoded": f"postgresql://me:%2F%40%3A{SECRET}%25@h/db",
    "a colon more": f"postgresql://me:a:{SECRET}@h/db",
    "parameter": f"postgresql://h/db?user=me&password={SECRET}&schema=mine",
    "of the key": f"postgresql://h/db?sslpassword={SECRET}",
    "no user": f"postgresql://:{SECRET}@h/db",
}
WRONG = {
    "an at more": f"postgresql://me:a@{SECRET}@h/db",
    "a space before it": f" postgresql://me:{SECRET}@h/db",
    "capitals": f"POSTGRESQL://me:{SECRET}@h/db",
    "one slash": f"postgresql:/me:{SECRET}@h/db",
    "no slash": f"postgresql:me:{SECRET}@h/db",
    "three slashes": f"postgresql:///me:{SECRET}@h/db",
    "no colon": f"postgresql//me:{SECRET}@h/db",
    "words of libpq": f"host=h password={SECRET} dbname=db",
    "another, one slash": f"postgres:/me:{SECRET}@h/db",
    "slash": f"postgresql://me:a/{SECRET}@h/db",
    "question mark": f"postgresql://me:a?{SECRET}@h/db",
    "hash": f"postgresql://me:a#{SECRET}@h/db",
    "hash at the end": f"postgresql://me@h/db#{SECRET}",
    "percent": f"postgresql://me:%zz{SECRET}@h/db",
    "NUL": f"postgresql://me:%00{SECRET}@h/db",
    "bracket": f"postgresql://me:[{SECRET}@h/db",
    "as a port": f"postgresql://me:{SECRET}/db",
    "parameter without a name": f"postgresql://h/db?{SECRET}",
    "letters that NFKC changes": f"postgresql://me:\u2100{SECRET}@h/db",
    "another scheme": f"postgres://me:{SECRET}@h/db",
    "schema": f"postgresql://me:{SECRET}@h/db?schema=a-b",
    "pool": f"postgresql://me:{SECRET}@h/db?pool_size=0",
    "commit": f"postgresql://me:{SECRET}@h/db?synchronous_commit=never",
}


def assert_hidden(*texts: object) -> None:
    for text in texts:
        assert SECRET not in str(text)
        assert SECRET not in repr(text)


def all_of(error: BaseException) -> str:
    """What a log prints of it, and what its attributes and its pickle hold."""
    trace = "".join(traceback.format_exception(error))
    return trace + repr(vars(error)) + repr(error.args) + repr(pickle.dumps(error))


@pytest.mark.parametrize("url", SOUND.values(), ids=SOUND)
def test_of_a_sound_url(url: str) -> None:
    found = parse(url)
    assert SECRET in found.conninfo
    assert_hidden(found, found.shown, f"{found}", [found])
    assert parse(found.shown).shown == found.shown


def test_parameters_are_given_to_the_driver_as_they_are() -> None:
    found = parse("postgresql://h/db?options=-c%20geqo%3Doff&application_name=a+b&schema=x")
    assert found.conninfo == "postgresql://h/db?options=-c%20geqo%3Doff&application_name=a%2Bb"


@pytest.mark.parametrize("url", WRONG.values(), ids=WRONG)
def test_of_a_wrong_url(url: str) -> None:
    for open_ in (Store, Sessions, Settings):
        with pytest.raises((ValueError, TypeError)) as caught:
            open_(url)
        assert_hidden(all_of(caught.value))


def test_of_a_server_that_is_down(capsys: Any) -> None:
    url = f"postgresql://me:{SECRET}@127.0.0.1:{free_port()}/db"
    with pytest.raises(StorageError, match=r"there is no connection .*check that the server is up") as caught:
        Store(url, timeout=0.1)
    assert_hidden(all_of(caught.value))
    assert main(["get", url, "a"]) == 1
    assert_hidden(*capsys.readouterr())


@pytest.fixture
def checked(sql: SQL, postgres: Any) -> str:
    """The URL of a role whose password is asked for."""
    if not sql("SELECT 1 FROM pg_roles WHERE rolname = %s", CHECKED):
        sql(f"CREATE ROLE {CHECKED} LOGIN SUPERUSER PASSWORD '{SECRET}'")
    return postgres.url.replace("postgres@", f"{CHECKED}:{SECRET}@", 1)


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda url: url.replace(SECRET, "wrong"), "password authentication failed"),
        (lambda url: url.replace(f":{SECRET}", ""), "no password supplied.*PGPASSWORD"),
        (lambda url: url.rpartition("/")[0] + "/nobody", 'database "nobody" does not exist'),
        (lambda url: url.replace("127.0.0.1", "nowhere.invalid"), "check .* the host"),
    ],
    ids=["wrong password", "no password", "unknown database", "unknown host"],
)
def test_of_a_connection_that_is_refused(
    checked: str, change: Callable[[str], str], words: str, capsys: Any, caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    caplog.set_level(logging.DEBUG)
    with pytest.raises(StorageError, match=words) as caught:
        Store(change(checked), timeout=20)
    assert_hidden(all_of(caught.value), caplog.text)
    assert main(["ls", change(checked)]) == 1
    assert_hidden(*capsys.readouterr())


def test_of_an_open_store(checked: str, schema: str, capsys: Any, caplog: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    caplog.set_level(logging.DEBUG)
    url = f"{checked}?schema={schema}"
    with Store[Any](url) as s:
        s["a"] = 1
        engine = s.opened.engine
        assert_hidden(s, s.location, vars(engine), vars(engine.handle), vars(engine.handle.sessions), s.stats())
        assert_hidden(repr(pickle.dumps(s)))
        with pytest.raises(KeyError) as caught:
            s["b"]
        assert_hidden(all_of(caught.value))
        monkeypatch.setenv("PGPASSWORD", SECRET)
        with pickle.loads(pickle.dumps(s)) as again:
            assert again["a"] == 1
            assert again.location == s.location
    for command in (["get", url, "b"], ["info", url], ["ls", url, "--long"], ["set", url, "a", "1", "--if-missing"],
                    ["verify", url], ["backup", url, "x.db"], ["compact", url],
                    ["settings", "show", url], ["sessions", "ls", url]):  # fmt: skip
        main(command)
        assert_hidden(*capsys.readouterr())
    assert_hidden(caplog.text)


def test_fork_with_open_pools(postgres_url: str) -> None:
    """The child uses sessions of its own, and the parent's go on."""
    with Store[Any](postgres_url) as s:
        s["a"] = 1
        with s.transaction():
            s["b"] = 2
            pid = os.fork()
            if not pid:
                code = 1
                try:
                    with Store[Any](postgres_url) as own:
                        with own.within("elsewhere") as other:  # the parent has the unnamed namespace for itself
                            other["c"] = own["a"] + 2
                    code = 0
                finally:
                    os._exit(code)
            assert os.waitpid(pid, 0)[1] == 0
            assert s["b"] == 2
        pid = os.fork()
        if not pid:
            try:
                s["d"] = s["a"] + 3
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        assert dict(s) == {"a": 1, "b": 2, "d": 4}
        with s.within("elsewhere") as other:
            assert dict(other) == {"c": 3}
