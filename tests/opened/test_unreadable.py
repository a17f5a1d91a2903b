"""`on_unreadable`: one record that cannot be decoded does not lock up the others."""

from __future__ import annotations

import gc
import pickle
import sqlite3
import weakref
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from changed import change

from store import Store
from store.errors import CodecUnavailable, Corrupt, StoreError, Tampered, UnknownProtocol, Untrusted

pytestmark = [pytest.mark.damaged, pytest.mark.filterwarnings("ignore:.*sealed with a key")]

OTHER = b"the key of somebody else"
GOOD = {"first": 1, "last": [2]}


class Calls:
    """Names a function that nobody may call."""

    def __reduce__(self) -> Any:
        return eval, ("0",)


def bad(error: type[StoreError], statement: str = "", *values: Any, key: Any = None, value: Any = 0) -> Any:
    def spoil(path: Path) -> None:
        with Store[Any](path, key=key) as s:
            s["bad"] = value
        if statement:
            change(str(path), f"{statement} WHERE name = 'bad'", *values)

    return pytest.param((error, spoil), id=error.__name__)


BROKEN = [
    bad(Untrusted, key=OTHER, value=Calls()),
    bad(Tampered, "UPDATE records SET body = ?", pickle.dumps(1)),
    bad(Corrupt, "UPDATE records SET body = ?", pickle.dumps(1), key=OTHER),
    bad(UnknownProtocol, "UPDATE records SET protocol = 99, seal = ?, crc = 1", bytes(24), key=OTHER),
    bad(CodecUnavailable, "UPDATE records SET codec = 'frob'", key=OTHER),
]


def make(path: Path, spoil: Callable[[Path], None]) -> None:
    with Store[Any](path) as s:
        s["first"] = GOOD["first"]
    spoil(path)
    with Store[Any](path) as s:
        s["last"] = GOOD["last"]


def reseal(path: Path) -> None:
    """The checksum of a foreign record is anybody's to write: make it fit, so that the seal is not what is wrong."""
    with Store[Any](path, key=OTHER) as s:
        row = s.opened.find("bad")
        assert row is not None
        sealed = s.opened.values.sealer.seal(row)
    change(str(path), "UPDATE records SET seal = ?, crc = ? WHERE name = 'bad'", sealed.seal, sealed.crc)


@pytest.fixture(params=BROKEN)
def broken(request: pytest.FixtureRequest, place: str) -> type[StoreError]:
    error, spoil = request.param
    make(place, spoil)
    if error in (UnknownProtocol, CodecUnavailable):
        reseal(place)
    return error  # type: ignore[no-any-return]


@pytest.mark.parametrize("options", [{}, {"on_unreadable": "raise"}])
def test_raise_is_the_default(place: str, broken: type[StoreError], options: dict[str, Any]) -> None:
    with Store[Any](place, **options) as s:
        for use in (lambda: list(s.values()), lambda: list(s.items()), lambda: s | {}, lambda: {} | s):
            with pytest.raises(broken):
                use()
        for use in (lambda: list(reversed(s.values())), lambda: list(reversed(s.items())), lambda: s == {}):
            with pytest.raises(broken):
                use()


@pytest.mark.parametrize("writeback", [False, True])
def test_skip_leaves_it_out(place: str, broken: type[StoreError], writeback: bool) -> None:
    with Store[Any](place, on_unreadable="skip", writeback=writeback) as s:
        assert list(s.values()) == list(GOOD.values())
        assert list(reversed(s.values())) == list(reversed(GOOD.values()))
        assert list(s.items()) == list(GOOD.items())
        assert list(reversed(s.items())) == list(reversed(GOOD.items()))
        assert s | {} == GOOD and {} | s == GOOD
        assert [2] in s.values() and 0 not in s.values()
        assert len(s) == 3 and list(s) == ["first", "bad", "last"]  # it is there, and stays
        assert s.inspect("bad").record.name == "bad"


def test_function_gives_the_value(place: str, broken: type[StoreError]) -> None:
    calls = []

    def instead(name: str, error: StoreError) -> Any:
        calls.append((name, type(error)))
        return f"no {name}"

    with Store[Any](place, on_unreadable=instead) as s:
        assert list(s.items()) == [("first", 1), ("bad", "no bad"), ("last", [2])]
        assert list(reversed(s.values())) == [[2], "no bad", 1]
        assert s | {"more": 1} == {"first": 1, "bad": "no bad", "last": [2], "more": 1}
    assert calls == [("bad", broken)] * 3


@pytest.mark.parametrize("choice", ["skip", lambda name, error: None])
def test_asking_for_the_record_itself_always_raises(place: str, broken: type[StoreError], choice: Any) -> None:
    with Store[Any](place, on_unreadable=choice) as s:
        uses: list[Callable[[], Any]] = [
            lambda: s["bad"],
            lambda: s.get("bad"),
            lambda: s.pop("bad"),
            lambda: s.setdefault("bad", 1),
            lambda: s.get_many(["first", "bad"]),
            lambda: s.modify("bad", lambda value: value),
            lambda: ("bad", 0) in s.items(),
            lambda: s == GOOD,  # what was left out must not make it equal
            lambda: s != GOOD,
            lambda: dict(s),
        ]
        for use in uses:
            with pytest.raises(broken):
                use()
        assert len(s) == 3


def test_error_of_the_function_is_raised(place: str) -> None:
    make(place, BROKEN[0].values[0][1])

    def give_up(name: str, error: StoreError) -> Any:
        raise ZeroDivisionError(name)

    with Store[Any](place, on_unreadable=give_up) as s, pytest.raises(ZeroDivisionError, match="bad") as caught:
        list(s.values())
    assert isinstance(caught.value.__context__, Untrusted)


def test_other_namespaces_have_the_option_too(place: str) -> None:
    with Store[Any](place, key=OTHER, namespace="more") as s:
        s["bad"] = Calls()
    with Store[Any](place, on_unreadable="skip") as s, s.within("more") as more:
        assert list(more.values()) == []


def test_pickled_store_keeps_it(place: str) -> None:
    make(place, BROKEN[0].values[0][1])
    with Store[Any](place, on_unreadable="skip") as s, pickle.loads(pickle.dumps(s)) as again:
        assert list(again.values()) == list(GOOD.values())


@pytest.mark.parametrize(
    ("choice", "error"),
    [("frob", ValueError), ("", ValueError), (None, TypeError), (True, TypeError), (3, TypeError)],
)
def test_bad_choice_is_told_before_a_file_is_made(path: Path, choice: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="on_unreadable"):
        Store[Any](path, on_unreadable=choice)
    assert not path.exists()


@pytest.mark.parametrize("choice", ["skip", lambda name, error: None])
def test_only_the_record_is_forgiven_not_the_store(place: str, choice: Any) -> None:
    s = Store[Any](place, on_unreadable=choice)
    s["a"] = 1
    s.close()
    with pytest.raises(StoreError, match="closed"):
        list(s.values())


PAGES = [f"{number:03}" for number in range(600)]  # more than two pages


@pytest.fixture
def mixed(path: Path) -> Path:
    """Three pages of records: one in the middle of the second is of another user, one is large, one has expired."""
    with Store[Any](path, spill_bytes=1000, clock=lambda: 1000.0) as s:
        s.update(dict.fromkeys(PAGES, "own"))
        s["270"] = "x" * 2000
        s.put("280", "gone", ttl=5)
        with Store[Any](path, key=OTHER) as other:
            other["300"] = "foreign"
    return path


WAYS: dict[str, Callable[[Store[Any]], Any]] = {
    "items": lambda s: list(s.items()),
    "items, reversed": lambda s: list(reversed(s.items()))[::-1],
    "values": lambda s: list(zip((name for name in PAGES if name != "280"), s.values(), strict=True)),
    "get_many": lambda s: list(s.get_many(PAGES).items()),
    "union": lambda s: list((s | {}).items()),
    "one by one": lambda s: [(name, s[name]) for name in PAGES if name in s],
}


@pytest.mark.parametrize("way", WAYS)
def test_pages_with_records_of_others_among_our_own(mixed: Path, way: str) -> None:
    """Each comes once, in order, whichever columns its page is read by."""
    wanted = {name: "own" for name in PAGES if name != "280"} | {"270": "x" * 2000, "300": "foreign"}
    with Store[Any](mixed, clock=lambda: 2000.0, cache_bytes=0) as s:
        assert WAYS[way](s) == list(wanted.items())


def test_records_before_a_damaged_one_come_first(mixed: Path) -> None:
    with closing(sqlite3.connect(mixed)) as conn:
        conn.execute("UPDATE records SET body = ? WHERE name = '400'", (pickle.dumps(1),))
        conn.commit()
    with Store[Any](mixed, clock=lambda: 2000.0) as s:
        pairs, names = iter(s.items()), []
        with pytest.raises(Tampered, match="record '400'"):
            while True:
                names.append(next(pairs)[0])
        assert names == [name for name in PAGES if name < "400" and name != "280"]
        with pytest.raises(Tampered, match="record '400'"):
            s.get_many(PAGES)


@pytest.mark.parametrize("way", ["items", "get_many", "union", "one by one"])
@pytest.mark.parametrize(
    "spoil", ["UPDATE records SET body = x'00'", "UPDATE records SET codec = 'frob'"], ids=["body", "codec"]
)
@pytest.mark.parametrize("key", [None, OTHER], ids=["own", "foreign"])
def test_error_is_freed_at_once(path: Path, spoil: str, key: Any, way: str) -> None:
    """Not by the next garbage collection: its frames hold the store, whose file would stay open until then."""
    with Store[Any](path, key=key) as s:
        s["300"] = 1
    with closing(sqlite3.connect(path)) as conn:
        conn.execute(spoil)
        conn.commit()
    gc.collect()
    gc.disable()
    try:
        with Store[Any](path) as s:
            try:
                WAYS[way](s)
                pytest.fail("it was read")
            except StoreError as exc:
                left = weakref.ref(exc)
            assert left() is None
    finally:
        gc.enable()
