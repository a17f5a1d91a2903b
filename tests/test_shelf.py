"""`import store as shelve`: programs written for the standard library's shelve run, and print the same.

Each program here is run twice, once with either module, and what it prints is compared.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import store
from store import Store

BASICS = """
    d = shelve.open(path)  # any key is a str, any value what pickle takes

    d["key"] = {"some": ["data"]}
    data = d["key"]
    data["some"].append("in the copy only")
    print(d["key"])
    del d["key"]
    try:
        d["key"]
    except KeyError as exc:
        print("gone", exc.args[0] if isinstance(exc.args[0], str) else exc.args[0].decode())
    print("key" in d, len(d))
    d["xx"] = [0, 1, 2]
    print(list(d.keys()))

    d["xx"].append(3)
    print(d["xx"])

    temp = d["xx"]
    temp.append(5)
    d["xx"] = temp
    print(d["xx"])
    d.close()

    d = shelve.open(path)
    print(d["xx"])
    d.close()
    """

WRITEBACK = """
    with shelve.open(path, writeback=True) as d:
        d["list"] = []
        d["list"].append(1)
        d["nested"] = {"a": {"b": []}}
        d["nested"]["a"]["b"].append("deep")
        d.setdefault("set by default", []).append(2)
        d.sync()
        d["list"].append(3)
        mine = {"assigned": [], "updated": []}
        d["assigned"] = mine["assigned"]
        d.update(updated=mine["updated"])
        for value in mine.values():
            value.append("after it was given")
        for value in d.values():
            if isinstance(value, list):
                value.append("by values")
        del d["set by default"]

    d = shelve.open(path, "c", None, True)
    print(sorted(d.items()))
    d.close()
    """

FLAGS = """
    import dbm
    for flag in ("r", "w"):
        try:
            shelve.open(path, flag)
        except dbm.error:
            print(flag, "needs a shelf that exists")
    with shelve.open(path, flag="c") as d:
        d["a"] = 1
    with shelve.open(path, flag="w") as d:
        d["b"] = 2
    with shelve.open(path, flag="c") as d:
        print(sorted(d))
    with shelve.open(path, flag="r") as d:
        print(sorted(d), d["a"], d.get("c"), d.get("c", "default"))
        try:
            d["c"] = 3
        except OSError:
            print("for reading only")
    with shelve.open(path, flag="n") as d:
        print(sorted(d))
    """

MAPPING = """
    from collections.abc import MutableMapping
    with shelve.open(filename=path) as d:
        print(isinstance(d, shelve.Shelf), isinstance(d, MutableMapping))
        d.update({"a": 1, "b": 2}, c=3)
        d.update([("d", 4)])
        print(sorted(d), sorted(d.values()), sorted(d.items()), len(d), bool(d))
        print(d.pop("a"), d.pop("a", None), d.setdefault("b", 0), d.setdefault("e"), d.get("z"))
        print(sorted(d.keys() | {"z"}), "b" in d.keys(), 3 in d.values(), ("c", 3) in d.items())
        print(dict(d) == d, d == {"b": 2, "c": 3, "d": 4, "e": None}, d != {})
        for missing in (lambda: d["z"], lambda: d.pop("z"), lambda: d.__delitem__("z")):
            try:
                missing()
            except KeyError:
                print("KeyError")
        for key in list(d):
            if key < "d":
                del d[key]
        print(sorted(d))
        key, value = d.popitem()
        print(key not in d, len(d))
        d.clear()
        print(list(d), bool(d))
    """

CLOSED = """
    d = shelve.open(path)
    d["a"] = 1
    d.close()
    d.close()
    for use in (lambda: d["a"], lambda: d.__setitem__("a", 1), lambda: list(d), lambda: len(d), lambda: "a" in d,
                lambda: d.get("a"), lambda: d.__delitem__("a")):
        try:
            use()
        except ValueError:
            print("closed")
    with shelve.open(path) as d:
        pass
    try:
        d["a"]
    except ValueError:
        print("closed")
    """

OBJECTS = """
    import datetime, enum

    class Level(enum.Enum):
        LOW = 1

    class Contact:
        def __init__(self, name, phone):
            self.name, self.phone = name, phone
            self.connection = lambda: None

        def __getstate__(self):
            state = self.__dict__.copy()
            del state["connection"]
            return state

        def __setstate__(self, state):
            self.__dict__.update(state)
            self.connection = None

        def __repr__(self):
            return f"{self.name}: {self.phone} {self.connection}"

    with shelve.open(path) as book:
        book["alice"] = Contact("Alice", "1")
        book["bob"] = Contact("Bob", ["2", "3"])
        book["more"] = (datetime.date(2030, 1, 1), Level.LOW, Level, len, {1: {2}, None: 2.5j}, b"bytes", ...)

    with shelve.open(path) as book:
        for name in sorted(book):
            print(name, book[name])
        contact = book["alice"]
        contact.phone = "9"
        book["alice"] = contact
        print(book["alice"], book["alice"] is book["alice"])
        try:
            book["bad"] = lambda: None
        except Exception as exc:
            print("bad" in book)
    """

PROTOCOLS = """
    import pickle
    for protocol in [None, pickle.DEFAULT_PROTOCOL, *range(6)]:
        with shelve.open(path, protocol=protocol) as d:
            d["a"] = {"protocol": protocol, "text": "é", "bytes": b"x"}
        with shelve.open(path, "r") as d:
            print(d["a"])
    """

COUNTER_AND_CACHE = """
    import functools

    def cached(function):
        @functools.wraps(function)
        def call(*args):
            key = repr((function.__name__, args))
            with shelve.open(path) as cache:
                if key not in cache:
                    cache[key] = function(*args)
                return cache[key]
        return call

    @cached
    def square(x):
        print("computing", x)
        return x * x

    print(square(3), square(3), square(4))

    for _ in range(3):
        with shelve.open(path) as d:
            d["visits"] = d.get("visits", 0) + 1
    with shelve.open(path) as d:
        print(d["visits"])
    """

NEVER_CLOSED = """
    import os
    if os.environ.get("SECOND"):
        d = shelve.open(path, "r")
        print(sorted(d.items()))
    else:
        def work():
            global kept
            kept = shelve.open(path, writeback=True)
            kept["list"] = [1]
            kept["list"].append(2)
            kept["other"] = []
        work()
    """

READ_AND_NEVER_CLOSED = """
    import os
    if os.environ.get("SECOND"):
        with shelve.open(path, writeback=True) as d:
            print(d["list"])
        d = shelve.open(path, writeback=True)
        d["list"].append(2)
        print(d["list"])
    else:
        with shelve.open(path) as d:
            d["list"] = [1]
    """

PROGRAMS = {
    "basics": BASICS,
    "writeback": WRITEBACK,
    "flags": FLAGS,
    "mapping": MAPPING,
    "closed": CLOSED,
    "objects": OBJECTS,
    "protocols": PROTOCOLS,
    "counter and cache": COUNTER_AND_CACHE,
    "never closed": NEVER_CLOSED,
    "read and never closed": READ_AND_NEVER_CLOSED,
}


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., str]:
    """Runs a program with `shelve` being either module; gives what it printed."""

    def run_it(program: str, module: str) -> str:
        folder = tmp_path / module
        folder.mkdir(exist_ok=True)
        script = folder / "program.py"
        script.write_text(f"import {module} as shelve\npath = {str(folder / 'shelf')!r}\n" + dedent(program))
        done = subprocess.run(
            [sys.executable, "-W", "error", script], capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    return run_it


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
@pytest.mark.slow
def test_program_prints_what_it_prints_with_the_standard_library(
    run: Callable[..., str], program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = {module: run(program, module) for module in ("shelve", "store")}
    if "SECOND" in program:
        monkeypatch.setenv("SECOND", "1")
        outputs = {module: run(program, module) + run(program, module) for module in ("shelve", "store")}
    assert outputs["store"] == outputs["shelve"]
    assert outputs["store"]


def test_open_has_the_signature_of_shelve_open() -> None:
    assert [(name, parameter.default) for name, parameter in signature(store.open).parameters.items()] == [
        ("filename", signature(store.open).parameters["filename"].empty),
        ("flag", "c"),
        ("protocol", None),
        ("writeback", False),
    ]
    assert "open" not in store.__all__, "a star import must not hide the builtin"


def test_open_gives_a_store_under_exactly_that_name(path: Path) -> None:
    with store.open(str(path)) as shelf:
        assert type(shelf) is store.Shelf is store.DbfilenameShelf is Store
        shelf["a"] = 1
        assert path.exists()
    with store.open(path) as shelf:  # a Path, as since 3.11
        assert shelf["a"] == 1
    with Store[Any](path) as s:
        assert s["a"] == 1


def test_shelf_of_a_dict_names_a_store_in_memory() -> None:
    with pytest.raises(TypeError) as caught:
        store.Shelf({"a": "x" * 1_000_000})  # type: ignore[arg-type]
    assert 'not dict; to keep one in memory: Store(":memory:")' in str(caught.value)
    assert len(str(caught.value)) < 200
    with store.Shelf[Any](":memory:") as s:
        s.update({"a": 1})
        assert s["a"] == 1
