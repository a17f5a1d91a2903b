"""The plugin for Datasette, through Datasette's own client; `test_datasette_server.py` runs this file on 1.0 too."""

from __future__ import annotations

import asyncio
import os
import pickle
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import unhurried

from store import Store
from store.errors import StoreError
from store.web.look import CELL_BYTES, Budget

datasette = pytest.importorskip("datasette", reason="Datasette is not installed: the plugin for it was not tested")

from datasette.app import Datasette  # noqa: E402
from datasette.plugins import pm  # noqa: E402
from datasette.utils import StartupError  # noqa: E402
from jinja2 import FileSystemBytecodeCache  # noqa: E402

from store.integrations import datasette as plugin  # noqa: E402
from store.integrations.datasette import responses  # noqa: E402
from store.integrations.datasette.databases import stores_of  # noqa: E402

BINARY = "&lt;Binary:&nbsp;"
OTHER = b"a key of somebody else, long enough"
EVIL = "<script>evil()</script>\"'><img src=x onerror=evil()>"
IS_ONE = hasattr(Datasette, "allowed")


@pytest.fixture(autouse=True)
def enough_time(monkeypatch: pytest.MonkeyPatch) -> None:
    unhurried.begin(monkeypatch.setattr)


@contextmanager
def served(*files: Path, **options: Any) -> Iterator[Datasette]:
    """A Datasette without threads of its own, which would outlive the test."""
    settings = {"num_sql_threads": 0, **options.pop("settings", {})}
    ds = Datasette([str(file) for file in files], settings=settings, **options)
    try:
        yield ds
    finally:
        stores_of(ds).close()
        if IS_ONE:
            ds.close()
        for database in ds.databases.values():
            database.close()


def ask(ds: Datasette, path: str, method: str = "get", actor: str | None = None) -> Any:
    """The response, without following where it leads to."""
    cookies = {"ds_actor": ds.sign({"a": {"id": actor}}, "actor")} if actor else {}

    async def answer() -> Any:
        return await getattr(ds.client, method)(path, cookies=cookies)

    return asyncio.run(answer())


def cells(text: str, column: str) -> list[str]:
    """The content of that column, row by row."""
    return [one.strip() for one in re.findall(rf'<td class="col-{column} [^"]*">(.*?)</td>\s*(?=<td class="col-|</tr>)', text, re.S)]


def body_of(ds: Datasette, name: str) -> str:
    """The cell `body` of a record."""
    (cell,) = cells(ask(ds, f"/app/records?name={name}").text, "body")
    return cell


class CompiledOnce:
    """Keeps Datasette's compiled templates, which each instance would compile anew: half of the time of these tests."""

    def __init__(self, folder: Path) -> None:
        self._cache = FileSystemBytecodeCache(str(folder))
        self.__name__ = "compiled_once"  # as modules have one

    @datasette.hookimpl
    def prepare_jinja2_environment(self, env: Any) -> None:
        env.bytecode_cache = self._cache


@pytest.fixture(scope="module", autouse=True)
def registered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The plugin, as its entry point does it where the package is installed."""
    plugins = [CompiledOnce(tmp_path_factory.mktemp("templates"))]
    plugins += [] if pm.is_registered(plugin) else [plugin]
    for one in plugins:
        pm.register(one, one.__name__)
    yield
    for one in plugins:
        pm.unregister(one)


@pytest.fixture(autouse=True)
def no_rich_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where rich is installed, Datasette prints each 404 with all local variables, which takes 0.4 s."""
    monkeypatch.setattr("datasette.handle_exception.rich", None)


@pytest.fixture
def filled(path: Path) -> Path:
    with Store(path) as s:
        s["own"] = {"colour": ["red", EVIL]}
        s.put("brief", 1, ttl=3600)
        with s.within(EVIL) as inner:
            inner[EVIL] = EVIL
    return path


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A database that looks like a store, and is none."""
    file = tmp_path / "plain.sqlite"
    with closing(sqlite3.connect(file)) as conn:
        conn.execute("CREATE TABLE records (id INTEGER PRIMARY KEY, namespace, name, body, created)")
        conn.execute("INSERT INTO records VALUES (1, '', 'own', x'80054b012e', 1790000000.5)")
        conn.commit()
    return file


@pytest.mark.slow
def test_own_value_in_place_of_its_bytes(filled: Path) -> None:
    with served(filled) as ds:
        shown = body_of(ds, "own")
        assert "colour" in shown and "red" in shown and "badge" not in shown and BINARY not in shown
        (blob,) = re.findall(r'href="(/app/records/1\.blob[^"]+)"', shown)
        with closing(sqlite3.connect(filled)) as conn:
            assert ask(ds, blob).content == conn.execute("SELECT body FROM records WHERE id = 1").fetchone()[0]
        (record,) = re.findall(r'href="(/-/store/app/record[^"]+)"', shown)
        assert "colour" in ask(ds, record.replace("&amp;", "&")).text
        assert "colour" in ask(ds, "/app/records/1").text


def test_all_else_is_as_datasette_shows_it(filled: Path, plain: Path) -> None:
    with served(filled, plain) as ds:
        text = ask(ds, "/app/records").text
        assert all(cell.count(BINARY) == 1 for cell in cells(text, "seal"))
        assert cells(text, "codec") == ["pickle"] * 3
        (body,), (created,) = (cells(ask(ds, "/plain/records").text, column) for column in ("body", "created"))
        assert BINARY in body and created == "1790000000.5"
        assert BINARY in ask(ds, ("/app/-/query" if IS_ONE else "/app") + "?sql=select+body+from+records+limit+1").text
        assert "cells.css" in text and "cells.css" not in ask(ds, "/plain/records").text + ask(ds, "/app/sealers").text


def test_without_the_name_of_the_record_bytes_stay(filled: Path) -> None:
    with served(filled) as ds:
        assert all(BINARY in cell for cell in cells(ask(ds, "/app/records?_col=body").text, "body"))
        assert all(BINARY not in cell for cell in cells(ask(ds, "/app/records?_nocol=id&_nocol=codec").text, "body"))


@pytest.mark.slow
def test_nothing_of_a_record_is_markup(filled: Path) -> None:
    with served(filled) as ds:
        first = ask(ds, "/-/store/app/").text
        pages = [first, *(ask(ds, link).text for link in links(first))]
        pages += [ask(ds, link).text for page in pages for link in links(page) if "/record?" in link]
        assert sum("evil()" in page for page in pages) > 2
        for text in (*pages, ask(ds, "/app/records").text, ask(ds, "/app/records/3").text):
            assert "<script>evil" not in text and "<img" not in text


def links(text: str) -> list[str]:
    """Where a page leads to, of the pages of a store."""
    return [link.replace("&amp;", "&") for link in re.findall(r'href="(/-/store/app/[^"]*)"', text) if "/static/" not in link]


def test_times_are_readable(filled: Path) -> None:
    with served(filled) as ds:
        text = ask(ds, "/app/records").text
        never, soon, _ = cells(text, "expires")
        assert "never" in never and "in 1 h" in soon
        with closing(sqlite3.connect(filled)) as conn:
            (created,) = conn.execute("SELECT created FROM records WHERE id = 1").fetchone()
        shown = cells(text, "created")[0]
        assert datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%d %H:%M:%SZ") in shown and "<time " in shown


def test_a_time_that_is_none_stays(filled: Path) -> None:
    with closing(sqlite3.connect(filled)) as conn:
        conn.execute("UPDATE records SET expires = 9e999 WHERE name = 'brief'")
        conn.execute("UPDATE records SET expires = 1e300 WHERE name = 'own'")
        conn.commit()
    with served(filled) as ds:
        assert cells(ask(ds, "/app/records").text, "expires")[:2] == ["1e+300", "inf"]
    filled.unlink()  # its seals do not hold any more


def test_an_expired_record_says_so(path: Path) -> None:
    with Store(path, clock=lambda: 1_700_000_000.0) as s:
        s.put("old", "secret of old", ttl=1)
    with served(path) as ds:
        shown = body_of(ds, "old")
        assert "it is gone" in shown and "secret" not in shown
        assert " ago" in cells(ask(ds, "/app/records").text, "expires")[0]


class Explosive:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (os.environ["EXPLOSIVE"],)


@pytest.mark.damaged
@pytest.mark.filterwarnings("ignore:.*a key this program does not hold")
def test_badges_of_what_is_not_ours_or_not_sound(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPLOSIVE", str(tmp_path / "exploded"))
    with Store(path, key=OTHER) as s:
        s["foreign"] = ["plain data"]
        s["refused"] = Explosive()
    pickle.loads(pickle.dumps(Explosive()))
    (tmp_path / "exploded").rmdir()  # so it would have been seen
    with Store(path) as s:
        s.update(tampered="words", damaged="words")
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("UPDATE records SET expires = 4e9 WHERE name = 'tampered'")
        conn.execute("UPDATE records SET seal = x'00' WHERE name = 'damaged'")
        conn.commit()
    with served(path) as ds:
        assert "plain data" in body_of(ds, "foreign")
        assert "badge-refused" in body_of(ds, "refused")
        assert "badge-tampered" in body_of(ds, "tampered")
        assert "badge-corrupt" in body_of(ds, "damaged")
        for name in ("foreign", "refused", "tampered", "damaged"):
            assert ask(ds, f"/-/store/app/record?namespace=&name={name}").status_code < 500
    assert not (tmp_path / "exploded").exists()


def test_size_and_time_are_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Budget] = []

    def used_up() -> Budget:
        made.append(Budget(seconds=-1))
        return made[-1]

    with Store(path) as s:
        s["large"] = "x" * CELL_BYTES
        s.update({f"small{number}": number for number in range(5)})
    with served(path) as ds:
        assert "badge-skipped" in body_of(ds, "large") and len(body_of(ds, "large")) < 1000
        assert "badge" not in body_of(ds, "small0")
        monkeypatch.setattr(responses, "Budget", used_up)
        assert all("used up its time" in cell for cell in cells(ask(ds, "/app/records").text, "body")[1:])
    assert len(made) == 1  # for all cells of the response


def test_pages_have_their_policy_and_files(filled: Path) -> None:
    with served(filled) as ds:
        page = ask(ds, "/-/store/app/")
        assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
        assert page.headers["content-security-policy"].startswith("default-src 'none'")
        assert page.headers["x-content-type-options"] == "nosniff"
        assert '<a href="/app">' in page.text.partition("<main")[0]  # the way back is in front of all else
        for name, kind in ("page.css", "text/css"), ("page.js", "text/javascript"), ("cells.css", "text/css"):
            file = ask(ds, f"/-/store/app/static/{name}")
            assert file.status_code == 200 and file.headers["content-type"].startswith(kind) and file.content
        assert "/-/store/app/static/page.css" in page.text
        for wrong in ("nope", "static/__init__.py", "static/cells.css/x", "record?namespace=&name=nope"):
            assert ask(ds, f"/-/store/app/{wrong}").status_code == 404
        answer = ask(ds, "/-/store/app/", "post")
        assert answer.status_code in (403, 405) and "html" not in answer.text  # 403: without the token of its forms


def test_no_page_where_there_is_no_store(filled: Path, plain: Path) -> None:
    with served(filled, plain, memory=True) as ds:
        assert ask(ds, "/-/store/app").headers["location"] == "/-/store/app/"
        for name in ("plain", "_memory", "nope"):
            assert ask(ds, f"/-/store/{name}").status_code == 404  # which an address with a slash leads to
            assert ask(ds, f"/-/store/{name}/record?namespace=&name=own").status_code == 404
        assert "/-/store/" not in ask(ds, "/plain").text.replace("/-/store/app/", "")


DENIED = {
    "table": {"databases": {"app": {"tables": {"records": {"allow": {"id": "ann"}}}}}},
    "database": {"databases": {"app": {"allow": {"id": "ann"}}}},
    "instance": {"allow": {"id": "ann"}},
}


@pytest.mark.parametrize("where", DENIED)
def test_who_may_not_see_the_table_sees_no_page(filled: Path, where: str) -> None:
    with served(filled, metadata=DENIED[where]) as ds:
        for path in "", "namespace?namespace=", "record?namespace=&name=own", "health", "nope":
            for actor, status in (None, 403), ("bob", 403), ("ann", 404 if path == "nope" else 200):
                answer = ask(ds, f"/-/store/app/{path}", actor=actor)
                if path != "health" or actor != "ann":
                    assert answer.status_code == status, (path, actor)
                assert status == 200 or "colour" not in answer.text
        assert ask(ds, "/-/store/app").status_code == 403
        assert ask(ds, "/app/records").status_code == 403
        assert "/-/store/" not in ask(ds, "/").text + ask(ds, "/app").text
        assert "/-/store/app/" in ask(ds, "/app", actor="ann").text


def test_links_from_the_menus(filled: Path, plain: Path) -> None:
    with served(filled, plain) as ds:
        assert "Store: app" in ask(ds, "/").text and "Store: plain" not in ask(ds, "/").text
        for path in "/app", "/app/records":
            assert "Show as a store" in ask(ds, path).text
        for path in "/plain", "/plain/records", "/app/sealers":
            assert "Show as a store" not in ask(ds, path).text
        if IS_ONE:
            assert "/-/store/app/record?namespace=&amp;name=own" in ask(ds, "/app/records/1").text
            assert "Show as a record" in ask(ds, "/app/records/1").text


def test_addresses_have_the_prefix_of_the_server(filled: Path) -> None:
    with served(filled, settings={"base_url": "/data/"}) as ds:
        assert 'href="/data/-/store/app/record?' in body_of(ds, "own")
        page = ask(ds, "/-/store/app/")
        assert page.status_code == 200
        assert set(re.findall(r'(?:href|src)="(/\w+/)', page.text)) == {"/data/"}


def test_several_stores_each_with_its_keys(path: Path, tmp_path: Path) -> None:
    files = {name: tmp_path / f"{name}.keys" for name in ("one", "two")}
    for number, (name, file) in enumerate(files.items()):
        file.write_text(f"{number + 1:064x}\n")
        file.chmod(0o600)
        with Store(tmp_path / f"{name}.db", key=file) as s:
            s["record"] = complex(number, 1)
    config = {
        "plugins": {"sealed-store": {"key_file": str(files["one"])}},
        "databases": {"two": {"plugins": {"sealed-store": {"key_file": str(files["two"])}}}},
    }
    with served(tmp_path / "one.db", tmp_path / "two.db", metadata=config) as ds:
        for number, name in enumerate(files):
            (cell,) = cells(ask(ds, f"/{name}/records").text, "body")
            assert "badge" not in cell and f"{complex(number, 1)}" in cell
        assert str(files["one"]) not in ask(ds, "/-/store/one/").text
    for name in files:  # no key of the test seals them
        (tmp_path / f"{name}.db").unlink()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"key_file": 7}, "the path of a key file, and not 7"),
        ({"key": "secret"}, "has no setting 'key'; the only one is key_file"),
        ("a text", "not of type str"),
        ({"key_file": "/nowhere/keys"}, "/nowhere/keys"),
    ],
)  # fmt: skip
def test_a_wrong_configuration_ends_the_start(filled: Path, settings: Any, said: str) -> None:
    with served(filled, metadata={"databases": {"app": {"plugins": {"sealed-store": settings}}}}) as ds:
        with pytest.raises(StartupError, match=re.escape(said)) as raised:
            asyncio.run(ds.invoke_startup())
        assert "secret" not in str(raised.value)


def test_a_store_that_cannot_be_opened(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(sqlite3.connect(filled)) as conn:
        conn.execute("CREATE INDEX planted ON records (codec)")
    with served(filled) as ds:
        opened = []
        site = type(stores_of(ds)).site
        monkeypatch.setattr(type(stores_of(ds)), "site", lambda *args: opened.append(1) or site(*args))
        assert all("planted" in cell and "badge" in cell for cell in cells(ask(ds, "/app/records").text, "body"))
        assert len(opened) == 1  # and not for each cell
        page = ask(ds, "/-/store/app/")
        assert page.status_code == 500 and "is marked as a store" in page.text and "Traceback" not in page.text
    with closing(sqlite3.connect(filled)) as conn:
        conn.execute("DROP INDEX planted")
    monkeypatch.setenv("STORE_KEY", "")
    with served(filled) as ds:
        page = ask(ds, "/-/store/app/")
        assert page.status_code == 500 and "STORE_KEY" in page.text
        assert "STORE_KEY" in body_of(ds, "own")


def test_another_library_of_sqlite_opens_no_store(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "__name__", "pysqlite3")
    with served(filled) as ds:
        with pytest.warns(UserWarning, match="Uninstall pysqlite3"):
            asyncio.run(ds.invoke_startup())
        assert BINARY in body_of(ds, "own")
        assert ask(ds, "/-/store/app").status_code == 404


def test_a_file_that_was_replaced_is_opened_anew(filled: Path, tmp_path: Path) -> None:
    with served(filled) as ds:
        assert "colour" in ask(ds, "/-/store/app/record?namespace=&name=own").text
        with Store(tmp_path / "new.db") as s:
            s["own"] = "from the backup"
        for suffix in ("-wal", "-shm"):
            Path(f"{filled}{suffix}").unlink(missing_ok=True)
        os.replace(tmp_path / "new.db", filled)
        assert "from the backup" in ask(ds, "/-/store/app/record?namespace=&name=own").text


def test_an_immutable_database(filled: Path) -> None:
    with served(immutables=[str(filled)]) as ds:
        assert "colour" in body_of(ds, "own")
        assert ask(ds, "/-/store/app/").status_code == 200


def test_looking_changes_nothing(filled: Path) -> None:
    before = filled.read_bytes()
    with served(filled) as ds:
        first = ask(ds, "/-/store/app/").text
        for link in links(first):
            assert ask(ds, link).status_code == 200
        assert ask(ds, "/app/records").status_code == 200
        with pytest.raises(StoreError, match="opened with mode"):
            next(iter(stores_of(ds)._opened.values())).site.store["own"] = 1
    assert filled.read_bytes() == before


@pytest.mark.parametrize("how", ["lifespan", *(["shutdown"] if IS_ONE else [])])
def test_stores_are_closed_with_the_server(filled: Path, how: str) -> None:
    async def serve(ds: Datasette) -> None:
        messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

        async def receive() -> Any:
            message = next(messages)
            if message["type"] == "lifespan.shutdown":
                assert (await ds.client.get("/-/store/app/")).status_code == 200
                opened.append(stores_of(ds)._opened["app"].site.store)
            return message

        async def send(_: Any) -> None:
            pass

        if how == "lifespan":
            await ds.app()({"type": "lifespan"}, receive, send)
        else:
            await ds.client.get("/-/store/app/")
            opened.append(stores_of(ds)._opened["app"].site.store)
            await ds.invoke_shutdown()

    opened: list[Store[Any]] = []
    with served(filled) as ds:
        asyncio.run(serve(ds))
        with pytest.raises(StoreError, match="closed"):
            opened[0].namespaces()
