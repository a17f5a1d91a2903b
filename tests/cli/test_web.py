"""`store web`: what it prints, what it refuses, and how it ends."""

from __future__ import annotations

import http.client
import importlib
import select
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

import pytest

from store import LockTimeout, ReadOnly, Store

SECONDS = 60
# Tests that are run in the background may have been told to ignore SIGINT, and what they start inherits that.
COMMAND = """
import signal, sys
from store.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(main())
"""


@pytest.fixture
def installed():
    for library in ("starlette", "uvicorn"):
        pytest.importorskip(library, reason=f"{library} is not installed: `store web` was not tested")


@contextmanager
def serving(*args):
    """`store web` as a process, and the address that it has printed."""
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, "web", *map(str, args)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            yield process, urlsplit(line(process.stdout).strip())
        finally:
            process.kill()


def line(stream):
    assert select.select([stream], [], [], SECONDS)[0], "it said nothing"
    return stream.readline()


def test_prints_the_address_and_ends_after_the_timeout(run, stocked, installed):
    code, out, err = run("web", stocked, "--timeout", "0.01")
    assert code == 0
    assert out.startswith("http://127.0.0.1:") and out.endswith("/\n") and out.count("\n") == 1
    assert "read-only" in err and err.count("\n") == 1


def test_two_starts_have_two_tokens(run, filled, installed):
    addresses = {urlsplit(run("web", filled, "--timeout", "0").out).path for _ in range(2)}
    assert len(addresses) == 2 and all(len(path) > 30 for path in addresses)


def test_begins_with_the_namespace_that_is_asked_for(run, filled, installed):
    out = run("web", filled, "--timeout", "0", "--namespace", "a&b", "--token", "a-token_of-mine~0123").out
    assert out.endswith("/a-token_of-mine~0123/namespace?namespace=a%26b\n")


def test_writes_only_if_asked_to(run, filled, installed):
    assert "read-only" not in run("web", filled, "--timeout", "0", "--write").err


def test_page_does_not_wait_as_long_as_a_program(run, filled, monkeypatch):
    said = []

    def serve(site, *rest):
        with closing(sqlite3.connect(filled, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(LockTimeout) as caught:
                site.store["a"] = 1
            said.append(str(caught.value))

    module = importlib.import_module("store.cli.web")
    assert module.LOCK_SECONDS == 5
    monkeypatch.setattr(module, "LOCK_SECONDS", 0.05)
    monkeypatch.setattr(module, "_serving", lambda: serve)
    assert run("web", filled, "--write").code == 0
    assert "0.05 s" in said[0]


def test_token_of_the_environment(run, filled, installed, monkeypatch):
    monkeypatch.setenv("STORE_WEB_TOKEN", "a-token_of-mine~0123")
    result = run("web", filled, "--timeout", "0", "--host", "0.0.0.0")
    assert result.out.endswith("/a-token_of-mine~0123/\n")
    assert "nothing is encrypted" in result.err


WRONG = [
    (("--token", "short"), "a token has"),
    (("--token", "a" * 40), "can be guessed"),
    (("--token", "with/slash/and-more-text"), "a token has"),
    (("--host", "0.0.0.0"), "needs --token"),
    (("--host", "::"), "needs --token"),
    (("--port", "65536"), "--port"),
    (("--settings", "json"), "module:Class"),
    (("--settings", "no_such_module_here:X"), "importing no_such_module_here failed"),
    (("--settings", "json:nothing"), "no such class"),
    (("--settings", "json:JSONDecoder"), "no class of settings"),
    (("--settings", "../x:Y"), "module:Class"),
    (("--settings", "preferences:Prefs"), "with --write"),
]


@pytest.mark.parametrize(("options", "words"), WRONG)
def test_wrong_calls(fails, filled, installed, options, words):
    fails(2, words, "web", filled, *options)


def test_store_that_is_not_there(fails, path, installed):
    fails(1, "there is no store at", "web", path)
    fails(1, "there is no store at", "web", path, "--write")


def test_file_that_may_not_be_written_is_shown_without_write(fails, filled, installed, monkeypatch):
    def refuse(path, **options):
        raise ReadOnly(f"{path} may not be written; to read only, open the store with mode=\"r\"", path=path)

    monkeypatch.setattr("store.cli.web.open_store", refuse)
    fails(1, "without --write, `store web` does so", "web", filled, "--write")


def test_store_in_memory_is_a_wrong_call(fails, installed):
    fails(2, "a store in memory", "web", ":memory:")


def test_place_that_cannot_be_listened_at(fails, filled, installed):
    fails(1, "choose another --host or --port", "web", filled, "--host", "no.such.host.invalid", "--token", "a-token_of-mine~0123")
    with closing(socket.create_server(("127.0.0.1", 0))) as busy:
        fails(1, "choose another --host or --port", "web", filled, "--port", busy.getsockname()[1])


@pytest.mark.parametrize("library", ["uvicorn", "starlette"])
def test_missing_library_names_the_extra(fails, filled, monkeypatch, library):
    for module in [name for name in sys.modules if name.startswith("store.web.app.") or name.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, library, None)
    if library == "starlette":
        monkeypatch.setitem(sys.modules, "uvicorn", sys)  # which is there
    fails(1, f"`store web` needs {library}, which is not installed: pip install '.[web]'", "web", filled)


PREFERENCES = "from dataclasses import dataclass\n@dataclass\nclass Prefs:\n    dark: bool = False\nclass Outer:\n    Prefs = Prefs\n"


def test_settings_come_from_the_folder_of_the_user(run, filled, tmp_path, monkeypatch, installed):
    (tmp_path / "prefs_of_web_test.py").write_text(PREFERENCES)
    monkeypatch.chdir(tmp_path)
    before = sys.path.copy()
    try:
        for name in ("Prefs", "Outer.Prefs"):
            assert run("web", filled, "--timeout", "0", "--write", "--settings", f"prefs_of_web_test:{name}").code == 0
    finally:
        sys.modules.pop("prefs_of_web_test", None)
    assert sys.path == before


def ask(address, path=None, **headers):
    """A connection with a request on its way, and the response that has begun."""
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=SECONDS)
    connection.request("GET", path or address.path, headers=headers)
    return connection, connection.getresponse()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.slow
def test_signal_ends_it_with_streams_open(filled, installed, number, code):
    with serving(filled) as (process, address):
        connection, page = ask(address)
        with closing(connection):
            assert page.status == 200 and page.read()
            stream_connection, stream = ask(address, f"{address.path}events?namespace=&prefix=user")
            with closing(stream_connection):
                assert stream.status == 200
                while stream.readline() != b'data: {"kind": "watching"}\n':
                    pass
                with Store(filled) as s:
                    s["user:1"] = 1
                while b'"user:1"' not in stream.readline():
                    pass
                process.send_signal(number)
                assert stream.read().strip() == b""  # and it ends well
        out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, out) == (code, "")
    assert err.strip().count("\n") == 0 and err.startswith("store: showing ")  # Ctrl-C is echoed as a line break


@pytest.mark.slow
def test_request_is_not_logged_and_junk_is_refused(filled, installed):
    with serving(filled) as (process, address):
        for junk in (b"\x16\x03\x01\x02\x00\x01\xfc\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"GET / HTTP/9\r\n\r\n"):
            with closing(socket.create_connection((address.hostname, address.port), SECONDS)) as sock:
                sock.sendall(junk)
                assert sock.makefile("rb").readline().startswith(b"HTTP/1.1 400 ")
        for upgrade in ({}, {"Upgrade": "websocket", "Connection": "Upgrade"}):
            connection, page = ask(address, **upgrade)
            with closing(connection):
                assert page.status == 200
                assert page.getheader("server") is None and page.getheader("set-cookie") is None
        with closing(socket.create_connection((address.hostname, address.port), SECONDS)) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 100_000)
            assert sock.makefile("rb").readline().startswith(b"HTTP/1.1 400 ")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=SECONDS)
    assert address.path.strip("/") not in err
    assert err.count("\n") == 1


@pytest.mark.heavy
def test_only_the_address_that_was_asked_for_is_listened_at(filled, installed):
    with serving(filled) as (_, address):
        others = [f"127.0.0.{number}" for number in (2, 3)]
        for other in others:
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((other, address.port), SECONDS).close()
