"""The names of `import store`: what there is, what is loaded when, and that `-O` and `help` make no difference."""

from __future__ import annotations

import ast
import pydoc
import subprocess
import sys
from pathlib import Path

import pytest

import store
from store import Store
from store.aio import AsyncStore
from store.cache import Cache
from store.memo import memo
from store.sessions import Sessions
from store.settings import Settings

PACKAGE = Path(store.__file__).parent
LATE = {"Settings": Settings, "Sessions": Sessions, "AsyncStore": AsyncStore, "Cache": Cache, "memoize": memo}


def run(*args: str) -> str:
    return subprocess.run([sys.executable, *args], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("name", LATE)
def test_name_that_people_reach_for_is_loaded_on_use(name: str) -> None:
    assert getattr(store, name) is LATE[name]
    assert name in dir(store)


@pytest.mark.slow
def test_import_loads_none_of_them() -> None:
    program = """
import sys, store
late = [m for m in sys.modules if m.startswith(("store.settings", "store.sessions", "store.aio", "store.memo", "store.cache", "store.care"))]
assert not late, late
assert {"Settings", "Sessions", "AsyncStore", "Cache", "memoize", "copy", "destroy", "ABSENT"} <= {*dir(store)}
assert not [m for m in sys.modules if m.startswith("store.settings")]
store.Settings, store.Sessions, store.AsyncStore, store.memoize, store.copy, store.destroy
print(store.memoize.__name__, store.memo.__name__)
"""
    assert run("-c", program) == "memo store.memo"


def test_all_of_all_is_there() -> None:
    assert all(hasattr(store, name) for name in store.__all__)
    assert {"ABSENT", "destroy", "recover", "restore"} <= {*store.__all__}
    assert repr(store.ABSENT) == "ABSENT"


CORE = """
import os, sys
from store import ABSENT, Conflict, NotSerializable, Store
path = sys.argv[1]
problems = []

def check(what, fits):
    if not fits:
        problems.append(what)

def raises(kind, call):
    try:
        call()
    except kind:
        return
    problems.append(f"{kind.__name__} was not raised")

check("optimised", sys.flags.optimize == int(sys.argv[2]))
with Store(path, spill_bytes=1000, writeback=True) as s:
    s["a"] = [1]
    s["a"].append(2)
    s["large"] = bytes(5000)
with Store(path) as s:
    check("written back", s["a"] == [1, 2])
    check("large", s["large"] == bytes(5000))
    with s.edit("a") as value:
        value.append(3)
    check("modify", s.modify("n", lambda n: n + 1, 0) == 1 and s.incr("n") == 2)
    record = s.put("x", 1, ttl=50)
    s["x"] = 2
    raises(Conflict, lambda: s.put("x", 3, if_version=record))
    raises(Conflict, lambda: s.put("x", 3, if_version=ABSENT))
    raises(NotSerializable, lambda: s.put("y", lambda: 1))
    raises(KeyError, lambda: s["missing"])
    raises(TypeError, lambda: s.put(1, 1))
    raises(ValueError, lambda: Store(path, mode="x"))
    try:
        with s.transaction():
            s["undone"] = 1
            raise LookupError
    except LookupError:
        pass
    check("undone", "undone" not in s)
    with s.lock("job"):
        check("locked", not s.lock("job").acquire(timeout=0))
    check("purge", s.purge() == 0 and s.verify().ok)
    backup = path + ".backup"
    check("backup", s.backup(backup).records == len(s))
    print(sorted(s), s.stats().records)
print(problems)
"""


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.slow
def test_optimised_python_changes_nothing(path: Path, level: int) -> None:
    flags = [f"-{'O' * level}"] if level else []
    assert run(*flags, "-c", CORE, str(path), str(level)).splitlines() == ["['a', 'large', 'n', 'x'] 4", "[]"]


def narrows(test: ast.expr) -> bool:
    """Whether an expression only tells a type checker that something is not None, and calls nothing."""
    if isinstance(test, ast.BoolOp):
        return all(map(narrows, test.values))
    if isinstance(test, ast.Call):
        return isinstance(test.func, ast.Name) and test.func.id == "isinstance"
    is_not_none = isinstance(test, ast.Compare) and [type(op) for op in test.ops] == [ast.IsNot]
    return is_not_none and not any(isinstance(node, ast.Call | ast.NamedExpr) for node in ast.walk(test))


@pytest.mark.slow
def test_asserts_only_narrow_types() -> None:
    asserts = {
        f"{file.relative_to(PACKAGE)}:{node.lineno}": node.test
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Assert)
    }
    assert [where for where, test in asserts.items() if not narrows(test)] == []
    docs = [file.name for file in PACKAGE.rglob("*.py") if "__debug__" in file.read_text()]
    assert docs == []


class TestHelp:
    def test_every_public_method_has_a_page(self) -> None:
        for name in dir(Store):
            if not name.startswith("_"):
                lines = (getattr(Store, name).__doc__ or "").splitlines()
                assert lines and lines[0].rstrip().endswith((".", ":", "KeyError.")), f"Store.{name}"

    def test_reads_like_a_manual_page(self) -> None:
        page = pydoc.plain(pydoc.render_doc(Store))
        assert " at 0x" not in page
        assert "functools.partial" not in page
        for text in (
            "trust: 'Trust' = 'data'", "ttl: 'float | Unset | None' = UNSET", "default: 'V | Missing' = MISSING",
            "clock: 'Callable[[], float]' = wall_clock",
            "if_version: 'Record | str | Absent | None' = None", "incr(self, name: 'str', delta: 'int' = 1",
        ):  # fmt: skip
            assert text in page
