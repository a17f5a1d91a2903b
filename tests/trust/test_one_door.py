"""One door: short of trust="all" and a verified seal, nothing in the package reaches the C unpickler."""

from __future__ import annotations

import _pickle
import ast
import copy
import io
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

import pytest
from changed import change
from sources import PICKLED, Hostile, hashed, make
from strangers import MINE, THEIRS, Marker

import store
from store import Store
from store.care.raw import export_raw, import_raw
from store.cli import main
from store.codecs import pickle as our_pickle
from store.errors import StoreError
from store.importers import import_into

pytestmark = [pytest.mark.damaged, pytest.mark.filterwarnings("ignore:.*sealed with a key")]


class Trapped(BaseException):
    """No `except Exception` on the way can swallow it, and what did is seen in `calls`."""


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "code has run"


@pytest.fixture
def trap(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every way into an unpickler that runs what it reads; the calls that were made."""
    return set_traps(monkeypatch)


def set_traps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    calls: list[str] = []

    def spring(name: str) -> Callable[..., NoReturn]:
        def sprung(*args: Any, **named: Any) -> NoReturn:
            calls.append(name)
            raise Trapped(name)

        return sprung

    for module in (pickle, _pickle, our_pickle._stdlib):
        for name in ("loads", "load", "_loads", "_load", "Unpickler", "_Unpickler"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, spring(f"{module.__name__}.{name}"))
    return calls


@pytest.fixture
def foreign(place: str, marker: Path) -> Iterator[str]:
    """A store with a record of somebody else that would run code, and one that is plain data."""
    fill(place, marker)
    yield place
    assert not marker.exists()


def fill(place: str, marker: Path) -> None:
    with Store[Any](place, key=THEIRS) as s, s.within("more") as more:
        s["plain"] = [1, {"a": (2.5, None)}]
        s["evil"] = Marker(marker)
        s.put("short", Marker(marker), ttl=1000)
        more["evil"] = Marker(marker)


def edit(s: Store[Any], name: str) -> None:
    with s.edit(name) as value:
        value.append(1)


def views(s: Store[Any]) -> Iterator[Callable[[], Any]]:
    for view in (s.keys, s.values, s.items):
        yield partial(lambda view: list(view()), view)
        yield partial(lambda view: list(reversed(view())), view)
        yield partial(lambda view: repr(view()), view)
        yield partial(lambda view: 1 in view(), view)
        yield partial(lambda view: ("evil", 1) in view(), view)
    yield lambda: s.items() & {("evil", 1)}
    yield lambda: s.items() == {("evil", 1)}
    yield lambda: s.keys() | {"a"}


def uses(s: Store[Any], name: str) -> Iterator[Callable[[], Any]]:
    """Every way to use a record."""
    yield from views(s)
    yield lambda: s[name]
    yield lambda: s.get(name)
    yield lambda: name in s
    yield lambda: s.setdefault(name, 1)
    yield lambda: s.get_many([name])
    yield lambda: list(s)
    yield lambda: list(reversed(s))
    yield lambda: (len(s), bool(s), repr(s), str(s))
    yield lambda: s == {}
    yield lambda: s != {}
    yield lambda: s == s.within("more")
    yield lambda: s | {}
    yield lambda: {} | s
    yield lambda: dict(s)
    yield lambda: {**s}
    yield lambda: copy.copy(s).close()
    yield lambda: copy.deepcopy(s).close()
    yield lambda: edit(s, name)
    yield lambda: s.modify(name, lambda value: value)
    yield lambda: s.record(name)
    yield lambda: list(s.records())
    yield s.names
    yield s.namespaces
    yield s.stats
    yield lambda: s.inspect(name)
    yield lambda: repr(s.inspect(name))
    yield s.verify
    yield lambda: s.touch(name, 5)
    yield s.purge
    yield lambda: list(export_raw(s.opened))
    yield lambda: list(import_raw(s.opened, list(export_raw(s.opened))))
    yield s.sync
    yield lambda: s.within("more")["evil"]
    yield lambda: s.pop(name)
    yield s.popitem
    yield lambda: s.put(name, 1, if_version=s.record(name))
    yield lambda: s.update({name: 1})
    yield lambda: s.__delitem__(name)
    yield s.clear


@pytest.mark.parametrize("name", ["evil", "plain"])
@pytest.mark.parametrize("options", [{}, {"trust": "own"}, {"writeback": True}, {"on_unreadable": "skip"}], ids=str)
@pytest.mark.slow
def test_foreign_record_never_reaches_it(
    foreign: str, marker: Path, trap: list[str], name: str, options: dict[str, Any]
) -> None:
    number, done = 0, 0
    while True:
        with Store[Any](foreign, key=MINE, **options) as s:
            use = next(islice(uses(s, name), number, None), None)
            if use is None:
                break
            try:
                use()
                done += 1
            except (StoreError, KeyError, AttributeError, TypeError):
                pass
            assert trap == []
        fill(foreign, marker)  # what was plain data may be the program's own by now
        number += 1
    assert number > 50 and done > 25


@pytest.mark.parametrize("key", [THEIRS, MINE], ids=["altered", "damaged"])
@pytest.mark.parametrize("trust", ["own", "data", "all"])
def test_altered_record_never_reaches_it(place: str, marker: Path, trap: list[str], key: bytes, trust: str) -> None:
    with Store[Any](place, key=THEIRS) as s:
        s["it"] = [1]
    change(place, "UPDATE records SET body = ?", pickle.dumps(Marker(marker)))
    with Store[Any](place, key=key, trust=trust) as s:
        for use in list(uses(s, "it")):
            try:
                use()
            except (StoreError, KeyError, AttributeError, TypeError):
                pass
            assert trap == []
    assert not marker.exists()


LINES = [
    "ls PATH", "ls PATH --long", "ls PATH --json", "get PATH evil", "get PATH plain", "info PATH", "info PATH evil",
    "info PATH evil --json", "inspect PATH evil", "verify PATH", "verify PATH --json", "export --raw PATH",
    "export --raw PATH OUT", "import --raw OUT COPY", "get COPY evil", "import --raw OUT PATH", "set PATH other 1",
    "rm PATH plain", "admit PATH evil", "admit PATH --all --yes",
]  # fmt: skip


@pytest.mark.parametrize("kind", PICKLED)
def test_import_never_reaches_it(kind: str, tmp_path: Path, place: str, marker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make(kind, tmp_path / "source", {"plain": [1], "evil": Hostile(marker)})
    calls = set_traps(monkeypatch)  # the peers unpickle when they make their files
    with Store[Any](place) as s:
        for options in ({}, {"dry_run": True}, {"allow": ["collections.UserDict"], "on_conflict": "replace"}):
            found = {one.name: one.outcome for one in import_into(s, kind, source, **options)}
            assert found in [hashed(kind, {"plain": outcome, "evil": "refused"}) for outcome in ("imported", "unchanged")]
    for words in ([], ["--dry-run"], ["--json"], ["--on-conflict", "replace"]):
        assert main(["import", kind, str(source), str(place), *words]) == 1
    assert calls == []
    assert not marker.exists()


@pytest.mark.parametrize("kind", [kind for kind in PICKLED if not kind.startswith("joblib")])  # whose unpickler is a subclass
def test_import_with_trust_springs_it(kind: str, tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make(kind, tmp_path / "source", {"plain": [1]})
    calls = set_traps(monkeypatch)
    with Store[Any](place) as s, pytest.raises(Trapped):
        list(import_into(s, kind, source, trust="all"))
    assert len(calls) == 1


def test_export_never_reaches_it(foreign: str, tmp_path: Path, trap: list[str]) -> None:
    for kind in ("jsonl", "shelve", "pickles"):
        assert main(["export", kind, str(foreign), str(tmp_path / kind)]) == 1
    assert trap == []


def test_command_line_never_reaches_it(foreign: str, tmp_path: Path, trap: list[str]) -> None:
    for line in LINES:
        words = {"PATH": foreign, "OUT": tmp_path / "out", "COPY": tmp_path / "copy.db"}
        code = main([str(words.get(word, word)) for word in line.split()])
        assert code in (0, 1), line
        assert trap == [], line


def test_our_own_module_never_reaches_it(marker: Path, trap: list[str]) -> None:
    for value in (Marker(marker), [1]):
        body = pickle.dumps(value)
        for load in (
            lambda body=body: our_pickle.loads(body),
            lambda body=body: our_pickle.load(io.BytesIO(body)),
            lambda body=body: our_pickle.Unpickler(io.BytesIO(body)).load(),
            lambda body=body: our_pickle.codec.decode_restricted(body, allow={}),
            lambda body=body: our_pickle.codec.describe(body),
        ):
            try:
                load()
            except StoreError:
                pass
    assert trap == []
    assert not marker.exists()


# -- the trap works


def test_own_record_springs_it(place: str, trap: list[str]) -> None:
    with Store[Any](place, key=MINE) as s:
        s["it"] = [1]
        with pytest.raises(Trapped):
            s["it"]
        assert len(trap) == 1
        for use in (lambda: list(s.values()), lambda: edit(s, "it"), lambda: s | {}, lambda: s == {"it": [1]}):
            with pytest.raises(Trapped):
                use()
        assert len(trap) == 5


def test_trust_all_springs_it(foreign: str, trap: list[str]) -> None:
    with Store[Any](foreign, key=MINE, trust="all") as s, pytest.raises(Trapped):
        s["plain"]
    with pytest.raises(Trapped):
        our_pickle.loads(b"N.", trust="all")
    with pytest.raises(Trapped):
        our_pickle.load(io.BytesIO(b"N."), trust="all")
    assert len(trap) == 3


def test_admitted_record_springs_it(foreign: str, trap: list[str]) -> None:
    with Store[Any](foreign, key=MINE) as s:
        s.admit(s.inspect("plain"))
        assert trap == []
        with pytest.raises(Trapped):
            s["plain"]


# -- and there is no other way


DANGEROUS = {"pickle", "_pickle", "cPickle", "marshal", "shelve", "sqlitedict", "diskcache", "pandas", "dill", "cloudpickle", "joblib", "copyreg"}
DOOR = {
    f"store.codecs.{name}" for name in ("pickle.__init__", "pickle.based", "pickle.codec", "cloudpickle", "dill", "joblib")
}
NAMES_OF_PICKLE = {
    "store.errors": {"PicklingError", "UnpicklingError"},
    "store.codecs.numpy.codec": {"PickleBuffer"},
    "store.codecs.restricted.arrays": {"PickleBuffer"},
}
# Modules that import one of these, and what of it they may use: nothing that reads a pickle.
USED = {
    "store.classes.placeholder": {
        "pickle": {"_Pickler", "PicklingError", "PROTO", "STACK_GLOBAL", "GLOBAL", "PickleBuffer"},
        "copyreg": {"_reconstructor", "__newobj__", "__newobj_ex__", "pickle"},
    },
    "store.classes.renaming": {"copyreg": {"_reconstructor"}},
    "store.classes.versions": {"copyreg": {"_slotnames"}},
    "store.memo.canonical.classes": {"copyreg": {"_slotnames"}},
    "store.values.path": {"copyreg": {"dispatch_table"}},
    "store.values.readback": {"copyreg": {"dispatch_table"}},
}


@pytest.mark.slow
def test_no_other_module_imports_an_unpickler() -> None:
    package = Path(store.__file__).parent
    for file in package.rglob("*.py"):
        module = ".".join(file.relative_to(package.parent).with_suffix("").parts)
        used = USED.get(module, {})
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found = ({alias.name.partition(".")[0] for alias in node.names} & DANGEROUS) - used.keys()
            elif isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] in DANGEROUS:
                found = {alias.name for alias in node.names} - NAMES_OF_PICKLE.get(module, set())
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in used:
                found = {node.attr} - used[node.value.id]
            else:
                continue
            assert not found or module in DOOR, f"{module}:{node.lineno} imports or uses {found}"


def test_modules_of_python_that_unpickle_are_not_loaded() -> None:
    program = "import store, sys; print({'shelve', 'multiprocessing', 'dbm'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.slow
def test_reading_the_files_of_others_loads_none_of_their_programs(tmp_path: Path) -> None:
    sources = [(kind, make(kind, tmp_path / kind, {"a": [1]})) for kind in PICKLED]
    program = """
import sys
from store import Store, importers
with Store(sys.argv[1]) as s:
    for kind, path in zip(sys.argv[2::2], sys.argv[3::2]):
        assert [r.outcome for r in importers.import_into(s, kind, path, prefix=kind)] == ["imported"]
print({'shelve', 'sqlitedict', 'diskcache', 'joblib', 'cachelib', 'django', 'requests_cache'} & set(sys.modules))
"""
    words = [str(word) for pair in sources for word in pair]
    command = [sys.executable, "-c", program, str(tmp_path / "app.db"), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "set()\n"
