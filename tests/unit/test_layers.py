"""Imports go down: each module of the package against its rank, and what a fresh interpreter loads."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import store

PACKAGE = Path(store.__file__).parent

# DESIGN section 2. A package name stands for all modules in it.
RANKS = {
    "store.errors": 0, "store.row": 0, "store.dotted": 0, "store.digests": 0, "store.culprit_parts": 0, "store.syncing": 0,
    "store.shown": 0, "store.deadlock": 0, "store.turns": 0, "store.caller": 0, "store.refusals": 0, "store.descriptors": 0, "store.clock": 0, "store.moved": 0, "store.step_budget": 0,
    "store.companions": 0.5,  # stands on the descriptors
    "store.file_status": 0.5,  # stands on the errors alone, and what has rank 1 on it
    "store.running": 0, "store.reentry": 0,
    "store.record": 1, "store.locking": 1, "store.registry": 1, "store.allowlist": 1, "store.lookup": 1, "store.spilled": 1,
    "store.differences": 1, "store.culprit_path": 1, "store.culprit_message": 2,
    "store.codecs": 2, "store.trust": 2, "store.backends": 2, "store.culprit": 2.5, "store.large": 2,
    "store.pipeline": 3, "store.evolution": 3, "store.readcache": 3,
    "store.arguments": 4, "store.handle": 4, "store.key_warnings": 4, "store.mapping": 4, "store.views": 4, "store.transaction": 4, "store.writeback": 4,
    "store.maintenance": 4, "store.compaction": 4, "store.backups": 4, "store.stats": 4, "store.records": 4,
    "store.inspection": 4, "store.verification": 4, "store.recovery": 4, "store.purging": 4, "store.raw": 4, "store.upgrade": 4, "store.rekey": 4,  # raw: rows and seals, as the Store itself has
    "store.message_frame": 4, "store.message_pipeline": 4, "store.foreign": 4,
    "store.memo_writer": 4, "store.memo_names": 4, "store.memo_source": 4, "store.memo_code": 4, "store.memo_functions": 4,
    "store.memo_classes": 4, "store.memo_arrays": 4, "store.memo_science": 4, "store.memo_definition": 4, "store.memo_pickling": 4, "store.memo_checks": 4,
    "store.memo_canonical": 4, "store.memo_key": 4, "store.memo_turns": 4, "store.memo_records": 4,
    "store.memo_once": 4, "store.memo_async": 4,
    "store.shelf": 5, "store.messages": 5, "store.memo": 5, "store.importers": 5, "store.export": 5,
    "store.settings_types": 4, "store.settings_containers": 4, "store.settings_hints": 4, "store.settings_fields": 4,
    "store.settings_pydantic": 4, "store.settings_text": 4, "store.settings_attrs": 4, "store.settings_frozen": 4, "store.settings_keys": 4, "store.settings_environment": 4, "store.settings_opening": 4, "store.settings_changes": 4,
    "store.settings": 5,
    "store.watching": 4, "store.watch": 4, "store.changes": 4, "store.aio_worker": 4, "store.aio_blocks": 4,
    "store.sessions": 4, "store.aio_handle": 4, "store.aio_sessions": 4,
    "store.aio": 5,
    "store.cli": 6, "store.__main__": 6,
}  # fmt: skip
REGISTERED = re.compile(r"store(\.\w+)+:\w+")  # "module:attribute", which a registry imports late
FRONT = "store"  # store/__init__.py: shows what the ranks below the command line offer

# Third-party library → the modules that may import it.
LIBRARIES = {
    "filelock": {"store.locking"},
    "sqlite_utils": {"store.backends.sqlite_schema"},
    "platformdirs": {"store.trust.keys", "store.settings_opening"},
    "attrs": {"store.settings_attrs"},  # for a class that was made with it
    "pydantic": {"store.settings_pydantic"},
    "pydantic_core": {"store.settings_pydantic"},
    "click": {"store.cli"},
    "rich": {"store.cli"},
    "msgpack": {"store.codecs.msgpack"},
    "tomli_w": {"store.codecs.toml"},
    "yaml": {"store.codecs.yaml", "store.codecs.yaml_events"},
    "fastavro": {"store.codecs.avro"},
    "google": {"store.codecs.protobuf"},
    "numpy": {
        "store.codecs.numpy", "store.codecs.numpy_dtype", "store.codecs.restricted_arrays", "store.codecs.restricted_dtypes",
    },
    "cloudpickle": {"store.codecs.cloudpickle"},
    "dill": {"store.codecs.dill"},
    "joblib": {"store.codecs.joblib"},
}


def modules() -> dict[str, Path]:
    found = {}
    for file in PACKAGE.rglob("*.py"):
        parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


MODULES = modules()


def unit_of(module: str) -> str:
    """The entry of RANKS that a module falls under: its own, or that of the package it is in."""
    if module == FRONT:
        return FRONT
    for unit in RANKS:
        if module == unit or module.startswith(unit + "."):
            return unit
    pytest.fail(f"{module} has no rank: give it one here, and in the design")


def imports(module: str, tree: ast.AST | None = None) -> Iterator[tuple[str, int]]:
    """What a module imports at any place, but for type checkers alone: (dotted name, line)."""
    for node in ast.iter_child_nodes(tree or ast.parse(MODULES[module].read_text())):
        yield from imports_at(module, node)


def imports_at(module: str, node: ast.AST) -> Iterator[tuple[str, int]]:
    if isinstance(node, ast.Import):
        yield from ((alias.name, node.lineno) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"{module}:{node.lineno}: relative import"
        for alias in node.names:
            dotted = f"{node.module}.{alias.name}"
            yield dotted if dotted in MODULES else str(node.module), node.lineno
    elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
        for branch in node.orelse:
            yield from imports_at(module, branch)
    elif isinstance(node, ast.Constant) and REGISTERED.fullmatch(str(node.value)):
        yield str(node.value).partition(":")[0], node.lineno
    else:
        yield from imports(module, node)


def complaints(module: str, found: Iterator[tuple[str, int]]) -> list[str]:
    """What of a module's imports goes up or sideways."""
    mine = unit_of(module)
    return [
        f"{module}:{line} imports {dotted}"
        for dotted, line in found
        if dotted.partition(".")[0] == "store" and not may_import(mine, unit_of(dotted))
    ]


def may_import(mine: str, theirs: str) -> bool:
    if mine == theirs:
        return True
    if mine == FRONT:
        return RANKS[theirs] < 6
    rank = RANKS[mine]
    if theirs == FRONT:
        return rank == 6
    if rank == 5:
        if (mine, theirs) == ("store.importers", "store.registry"):
            return True
        return RANKS[theirs] in (0, 4)  # each on the public Store and the errors alone
    return RANKS[theirs] < rank or rank == RANKS[theirs] in (4, 6)  # one class in several files; one program


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_go_down(module: str) -> None:
    assert complaints(module, imports(module)) == []


def test_every_rank_is_of_a_module_that_exists() -> None:
    assert set(RANKS) <= set(MODULES) | {"store.cli"}


@pytest.mark.parametrize(
    "module, source",
    [
        ("store.errors", "import store.record"),
        ("store.record", "from store.locking import Hold"),
        ("store.codecs.json", "from store.trust import keys"),
        ("store.trust.seal", "def f():\n    from store.codecs.pickle import codec"),
        ("store.backends.sqlite", "try:\n    import store.codecs\nexcept ImportError: pass"),
        ("store.backends.sqlite", "from store.pipeline import Pipeline"),
        ("store.pipeline", "import store.mapping"),
        ("store.pipeline", "from store import Store"),
        ("store.handle", "from store.shelf import open"),
        ("store.mapping", "import store.cli"),
        ("store.shelf", "from store.backends.sqlite_attach import is_store"),
        ("store.shelf", "from store import pipeline"),
        ("store.messages", "from store.pipeline import choose"),
        ("store.messages", "from store import Store"),
        ("store.importers.shelve", "from store.codecs import pickle"),
        ("store.importers.shelve", "from store.export import export_to"),
        ("store.export", "from store.importers import Found"),
        ("store", "if True:\n    import store.cli"),
        ("store.trust.keys", "where = 'store.codecs.pickle:codec'"),
        ("store.errors", "if TYPE_CHECKING:\n    pass\nelse:\n    import store.record"),
    ],
)
def test_import_that_goes_up_is_found(module: str, source: str) -> None:
    assert len(complaints(module, imports(module, ast.parse(source)))) == 1


@pytest.mark.parametrize(
    "module, source",
    [
        ("store.codecs.json", "from store.errors import Corrupt"),
        ("store.codecs.json", "from store.codecs import Codec"),
        ("store.handle", "from store.trust import keys"),
        ("store.mapping", "from store.views import Items"),
        ("store.shelf", "from store.mapping import Store"),
        ("store", "from store.shelf import open"),
        ("store.messages", "from store.message_frame import Incoming"),
        ("store.importers", "from store.registry import Registry"),
        ("store.importers.run", "from store.foreign import Foreign"),
        ("store.errors", "if TYPE_CHECKING:\n    import store.record"),
    ],
)
def test_import_that_goes_down_is_fine(module: str, source: str) -> None:
    assert complaints(module, imports(module, ast.parse(source))) == []


def test_module_without_a_rank_is_found() -> None:
    with pytest.raises(pytest.fail.Exception, match=r"store\.utils has no rank"):
        unit_of("store.utils")


@pytest.mark.parametrize("module", sorted(MODULES))
def test_each_library_has_its_one_place(module: str) -> None:
    for dotted, line in imports(module):
        library = dotted.partition(".")[0]
        if library == "store" or library in sys.stdlib_module_names:
            continue
        assert library in LIBRARIES, f"{module}:{line} imports {library}, which no module may"
        places = LIBRARIES[library]
        assert module in places or unit_of(module) in places, f"{module}:{line} imports {library}"


HEAVY = set(LIBRARIES)  # which no import of the package loads


def loaded(program: str, *arguments: str) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded after a program."""
    run = subprocess.run(
        [sys.executable, "-c", f"import sys\n{program}\nprint(*sys.modules)", *arguments],
        stdout=subprocess.PIPE, text=True, timeout=60, check=True,
    )  # fmt: skip
    return {name.partition(".")[0] for name in run.stdout.splitlines()[-1].split()}


def test_import_of_the_package_loads_no_library() -> None:
    found = loaded("import store")
    assert "store" in found
    assert found & {*HEAVY, "pickletools", "asyncio"} == set()


def test_settings_of_a_dataclass_load_no_library(path: Path) -> None:
    store.Store(path).close()  # to make one takes sqlite-utils, and that takes click
    found = loaded(
        "from dataclasses import dataclass\nfrom store.settings import Settings\n"
        "@dataclass\nclass Prefs: x: int = 1\n"
        "with Settings(Prefs, sys.argv[1], env_prefix='A_') as prefs:\n"
        "    prefs.x = 2\n    prefs.import_(prefs.export('json'), 'json')\n    assert prefs.x == 2",
        str(path),
    )
    assert "filelock" in found
    assert found & {"attrs", "attr", "pydantic", "pydantic_core", "yaml", "tomli_w", "click", "asyncio"} == set()


def test_import_of_the_package_loads_no_settings() -> None:
    found = subprocess.run(
        [sys.executable, "-c", "import sys, store\nprint(*(m for m in sys.modules if m.startswith('store.')))"],
        stdout=subprocess.PIPE, text=True, timeout=60, check=True,
    ).stdout.split()  # fmt: skip
    assert "store.mapping" in found
    assert [name for name in found if name.startswith("store.settings")] == []


def test_reading_an_existing_store_loads_few_libraries(path: Path) -> None:
    with store.Store(path) as s:
        s["x"] = [1]
    found = loaded("import store\nwith store.Store(sys.argv[1]) as s: assert s['x'] == [1]", str(path))
    assert found & HEAVY <= {"platformdirs"}  # a record that says whose it is needs the keys


def test_writing_to_an_existing_store_loads_no_tools(path: Path) -> None:
    store.Store(path).close()
    found = loaded("import store\nwith store.Store(sys.argv[1]) as s: s['x'] = 1", str(path))
    assert "filelock" in found
    assert found & {"click", "sqlite_utils", "numpy", "rich"} == set()
