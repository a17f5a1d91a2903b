"""Warnings: each points at the line of the program, whatever of ours and of the standard library lies between."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import inspect
import os
import pickle
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import store
from store import Store
from store.aio import AsyncStore
from store.memo import memo
from store.sessions import Sessions, records
from store.settings import Settings

FOREIGN = "sealed with a key this program does not hold"


@dataclass
class Limits:
    tries: int = 3


@pytest.fixture
def foreign(path: Path) -> Path:
    """A store that another key sealed."""
    with Store[Any](path, key="the key of others") as s:
        s["a"] = 1
    with Sessions(path, key="the key of others") as theirs:
        theirs.create({})
    return path


def told(act: Callable[[], object]) -> list[warnings.WarningMessage]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        result: Any = act()
        if hasattr(result, "close"):
            result.close()
    return found


def point_at(act: Callable[[], object], found: list[warnings.WarningMessage]) -> None:
    """All of them name a line of the function."""
    lines, first = inspect.getsourcelines(act)
    assert found
    for warning in found:
        assert warning.filename == __file__, str(warning.message)
        assert first <= warning.lineno < first + len(lines)


async def opened_by_asyncio(path: Path) -> None:
    async with AsyncStore[Any](path) as s:
        await s.get("a")


def in_an_exit_stack(path: Path) -> None:
    with contextlib.ExitStack() as stack:
        stack.enter_context(Store[Any](path))


WAYS: dict[str, Callable[[Path], object]] = {
    "Store": lambda path: Store[Any](path, ttl=5),
    "open": lambda path: store.open(path, "w"),
    "own": lambda path: Store[Any](path, trust="own"),
    "Sessions": lambda path: Sessions(path, ttl=5),
    "Settings": lambda path: Settings(Limits, path),
    "contextlib": in_an_exit_stack,
}


@pytest.mark.parametrize("way", WAYS)
def test_foreign_key_is_told_at_the_line_that_opens(foreign: Path, way: str) -> None:
    found = told(lambda: WAYS[way](foreign))
    assert [FOREIGN in str(warning.message) for warning in found] == [True]
    point_at(WAYS[way], found)


def test_foreign_key_is_told_at_the_line_that_awaits(foreign: Path) -> None:
    found = told(lambda: asyncio.run(opened_by_asyncio(foreign)))
    assert len(found) == 1
    point_at(opened_by_asyncio, found)


def test_foreign_key_is_told_at_the_line_that_unpickles_or_copies(foreign: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        s = Store[Any](foreign)
    data = pickle.dumps(s)

    def unpickle() -> Any:
        return pickle.loads(data)

    def copied() -> Any:
        return copy.copy(s)

    for act in (unpickle, copied):
        point_at(act, told(act))
    s.close()


def test_session_of_another_key_is_told_at_the_line_that_loads(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "warned", set())
    with Sessions(path, key="the key of others") as theirs:
        id = theirs.create({})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mine = Sessions(path)

    def load() -> None:
        mine.load(id)

    def edit() -> None:
        with contextlib.suppress(KeyError), mine.edit(id):
            pass

    for act in (load, edit):
        records.warned.clear()
        point_at(act, told(act))
    mine.close()


def test_memo_that_cannot_store_is_told_at_the_line_that_calls(path: Path) -> None:
    @memo(path)
    def opener(name: str) -> Any:
        return lambda: name

    def call() -> None:
        opener("a")

    point_at(call, told(call))
    opener.close()


# -- what is said


def test_store_that_trusts_its_own_alone_is_told_what_that_means(foreign: Path) -> None:
    (warning,) = told(lambda: Sessions(foreign))
    message = str(warning.message)
    assert 'reads nothing else (trust="own"), so they are refused, and sessions among them are absent' in message
    assert "read as plain data" not in message
    assert f"`store admit {foreign} --all`" in message


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.delenv("HOME", raising=False)


def test_sessions_without_a_home_are_told_at_open(path: Path, homeless: None) -> None:
    (warning,) = told(lambda: Sessions(path))
    message = str(warning.message)
    assert "there is none: this user has no home directory to keep a key in. Name a key file in STORE_KEY_FILE" in message
    assert told(lambda: Sessions(path, key="a key of 16 bytes")) == []
    assert told(lambda: Store[Any](path)) == []  # plain data needs no key


def test_sessions_of_another_key_without_a_home_need_a_key_first(foreign: Path, homeless: None) -> None:
    (warning,) = told(lambda: Sessions(foreign))
    assert "--all`, with a key of your own in STORE_KEY_FILE (`store key new` makes it)" in str(warning.message)


def test_home_that_is_not_there_is_told_at_open(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = path.parent / "no-home"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    (warning,) = told(lambda: Sessions(path))
    assert f"the home directory {home} does not exist" in str(warning.message)


# -- wrong calls


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda s: Store(":memory:", nix=1), r"Store\.__init__\(\) got an unexpected keyword argument 'nix'"),
        (lambda s: s.put("a"), r"Store\.put\(\) missing 1 required positional argument: 'value'"),
        (lambda s: s.touch(), r"Store\.touch\(\) missing 1 required"),
        (lambda s: s.watch(nix=1), r"Store\.watch\(\) got an unexpected"),
        (lambda s: s.sync(1), r"Store\.sync\(\) takes 1 positional"),
        (lambda s: s.within(), r"Store\.within\(\) missing 1 required"),
    ],
)
def test_wrong_call_names_the_class_that_was_called(call: Callable[[Any], object], message: str) -> None:
    with Store[Any](":memory:") as s, pytest.raises(TypeError, match=message):
        call(s)


def test_methods_can_be_pickled_by_their_names() -> None:
    for name in ("put", "edit", "touch", "close", "get"):
        method = getattr(Store, name)
        assert pickle.loads(pickle.dumps(method)) is method
