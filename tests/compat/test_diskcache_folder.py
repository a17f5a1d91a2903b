"""The folder: what diskcache left there is named and never read, hostile records run nothing, and what is refused."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from diskcaches import THEIRS, load
from sources import Hostile, state_of

from store import Store
from store.compat import diskcache as dc
from store.compat.diskcache import keys
from store.errors import NotAStore, Untrusted

OPENERS = {
    "Cache": lambda module, folder: module.Cache(folder),
    "FanoutCache": lambda module, folder: module.FanoutCache(folder, shards=2),
    "Index": lambda module, folder: module.Index(str(folder)).cache,
    "Deque": lambda module, folder: module.Deque(directory=str(folder)).cache,
}


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """The folder that is made where hostile code runs."""
    return tmp_path / "code has run"


@pytest.fixture(params=OPENERS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def planted(kind: str, tmp_path: Path, marker: Path) -> Path:
    """A folder of diskcache with hostile pickles: as values in the database, in files, and as keys."""
    theirs = load(THEIRS)
    folder = tmp_path / "it's old"
    cache = OPENERS[kind](theirs, folder)
    cache["small"] = Hostile(marker)
    cache["large"] = [Hostile(marker), "x" * 100_000]
    cache[Hostile(marker)] = 1
    cache[b"key"] = Hostile(marker)
    cache.close()
    assert len(list(folder.rglob("*.val"))) == 1
    assert not marker.exists()
    return folder


def test_folder_of_diskcache_is_named_and_left_alone(kind: str, planted: Path, marker: Path) -> None:
    before = state_of(planted)
    with pytest.raises(NotAStore, match="was written by diskcache") as raised:
        OPENERS[kind](dc, planted)
    file = "fanout.db" if kind == "FanoutCache" else "store.db"
    target = str(planted / file).replace("'", "'\"'\"'")
    assert "`store import diskcache '" in str(raised.value) and f"{target}'" in str(raised.value)
    assert raised.value.path == str(planted)
    assert state_of(planted) == before and not marker.exists()


def test_the_pickles_do_run_in_diskcache(kind: str, planted: Path, marker: Path) -> None:
    cache = OPENERS[kind](load(THEIRS), planted)
    for name in ("small", "large"):
        assert not marker.exists()
        cache[name]
        assert marker.exists(), "the sample is harmless, so the other tests show nothing"
        marker.rmdir()
    list(cache)
    assert marker.exists()
    cache.close()


def test_new_store_beside_the_old_database_is_opened(kind: str, planted: Path, tmp_path: Path, marker: Path) -> None:
    new = OPENERS[kind](dc, tmp_path / "new")
    new["a"] = 1
    file = Path(new.directory) / ("fanout.db" if kind == "FanoutCache" else "store.db")
    new.close()
    file.rename(planted / file.name)
    before = {name: state for name, state in state_of(planted).items() if not name.startswith((file.name, "."))}
    cache = OPENERS[kind](dc, planted)
    assert list(cache) == ["a"] and cache.check(fix=True) == []
    cache.close()
    after = state_of(planted)
    assert {name: after[name] for name in before} == before and not marker.exists()


def stranger(folder: Path) -> Store[Any]:
    """The records of a cache, as a program with another key writes them."""
    return Store(folder / "store.db", namespace="cache", key=b"the key of somebody else: 32 byte")


@pytest.mark.damaged
@pytest.mark.filterwarnings("ignore:.*sealed with a key")
def test_hostile_records_of_others_run_nothing(tmp_path: Path, marker: Path) -> None:
    folder = tmp_path / "c"
    dc.Cache(folder).close()
    name = keys.name_of(Hostile(marker))
    assert keys.is_digest(name) and not marker.exists()
    with stranger(folder) as records:
        records["value"] = Hostile(marker)
        records[name] = ("store.compat.diskcache", "value", Hostile(marker), 1)
        records["500"] = ("store.compat.diskcache", "file", None, [Hostile(marker)])
    with dc.Cache(folder) as cache:
        for act in (
            lambda: cache["value"], lambda: cache.get("value", read=True, expire_time=True, tag=True),
            lambda: cache.pop("value"), lambda: cache.incr("value"), lambda: cache.read("500"), lambda: list(cache),
            lambda: list(cache.iterkeys()), lambda: cache.peekitem(last=False), lambda: dict(dc.Index.fromcache(cache)),
            lambda: list(dc.Deque.fromcache(cache)), lambda: cache[Hostile(marker)],
        ):  # fmt: skip
            with pytest.raises(Untrusted):
                act()
        assert len(cache) == 3 and "value" in cache
        assert not marker.exists()
        cache.clear()
        assert list(cache) == []


@pytest.mark.damaged
@pytest.mark.filterwarnings("ignore:.*sealed with a key")
@pytest.mark.parametrize("namespace", ["settings", "cache#notes"])
def test_hostile_settings_and_notes_run_nothing(namespace: str, tmp_path: Path, marker: Path) -> None:
    with dc.Cache(tmp_path / "c") as cache:
        cache.set("a", 1, tag="t")
    with stranger(tmp_path / "c") as records, records.within(namespace) as others:
        others["a"] = others["size_limit"] = Hostile(marker)
    try:
        with dc.Cache(tmp_path / "c") as cache:
            assert cache.get("a", tag=True) == (1, None)
    except Untrusted:
        pass
    assert not marker.exists()


def test_value_that_looks_like_a_form_comes_back(tmp_path: Path) -> None:
    with dc.Cache(tmp_path) as cache:
        for value in (("store.compat.diskcache", "file", None, b"x"), ("store.compat.diskcache", "value", 1, 2)):
            cache["a"] = value
            assert cache["a"] == value == cache.pop("a")


@pytest.mark.parametrize("kind", ["Cache", "FanoutCache"], indirect=True)
def test_disks_that_encode_are_refused_with_the_reason(kind: str, tmp_path: Path) -> None:
    class Compressed(dc.Disk):
        pass

    for disk, reason in [(dc.JSONDisk, "leave disk= out"), (Compressed, "Compressed encodes keys and values itself")]:
        with pytest.raises(ValueError, match=reason):
            getattr(dc, kind)(tmp_path / "c", disk=disk)
        assert not (tmp_path / "c").exists()
    with pytest.raises(ValueError, match="JSONDisk keeps a cache from running pickles of others"):
        dc.JSONDisk(str(tmp_path))


def test_wrong_arguments_are_reported(tmp_path: Path) -> None:
    with dc.Cache(tmp_path / "c") as cache:
        with pytest.raises(ValueError, match="unknown eviction_policy 'best'"):
            cache.reset("eviction_policy", "best")
        assert cache.reset("eviction_policy") == "least-recently-stored"
        with pytest.raises(ValueError, match="there is no setting 'sise_limit': the cache has cull_limit"):
            cache.reset("sise_limit")
        with pytest.raises(ValueError, match="'count' is computed"):
            cache.reset("count", 5)
        with pytest.raises(ValueError, match="'front' and 'back', not 'left'"):
            cache.push(1, side="left")
        with pytest.raises(TypeError, match="a tag is text, a number or bytes"):
            cache.set("a", 1, tag=("t",))
        with pytest.raises(AttributeError):
            cache.no_such_method()
    with pytest.raises(ValueError, match="unknown eviction_policy"):
        dc.Cache(tmp_path / "d", eviction_policy="best")


def test_records_are_those_of_a_store(tmp_path: Path) -> None:
    with dc.Cache(tmp_path / "c") as cache:
        cache["user:1"], cache[7] = {"name": "ann"}, "seven"
        assert dict(cache.store) == {"user:1": {"name": "ann"}, "\x01500:7": "seven"}
        assert cache.store.verify().ok
    with Store(tmp_path / "c" / "store.db", namespace="cache") as store:
        assert store["user:1"] == {"name": "ann"}


def test_damaged_record_is_found_by_check(tmp_path: Path) -> None:
    with dc.Cache(tmp_path / "c") as cache:
        cache["a"] = b"x" * 3_000_000
        (file,) = (tmp_path / "c" / "store.db-spill").iterdir()
        content = file.read_bytes()
        file.write_bytes(b"y" + content[1:])
        (fault,) = cache.check()
        assert "file of record 'a' in 'cache'" in str(fault.message)
        file.write_bytes(content)
        assert cache.check() == []


def test_folder_without_tables_of_diskcache_is_named_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    with closing(sqlite3.connect(tmp_path / "c" / "cache.db")) as conn:
        conn.execute("CREATE TABLE other (x)")
    with pytest.raises(NotAStore, match="or give an empty folder"):
        dc.Cache(tmp_path / "c")
