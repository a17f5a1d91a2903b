"""Imports go down: each module of the package against its rank. What a start loads is in `test_imports.py`."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import accumulate
from pathlib import Path

import pytest

import store

PACKAGE = Path(store.__file__).parent

# The parts of the package in order: each may import those above it, and no other one beside it.
ORDER: tuple[tuple[str, ...], ...] = (
    ("errors",),
    ("display",),
    ("system",),
    ("rows",),
    ("classes",),
    ("codecs",),
    ("trust",),
    ("engines",),
    ("values",),
    ("opened",),
    ("care",),
    ("watching",),
    ("mapping",),
    ("shelf", "sessions", "export", "settings", "memo", "cache", "aio", "messages", "importers"),
    ("web",),
    ("compat", "integrations"),
    ("cli",),
)
# What a part may not import although it is above: these know nothing of each other.
APART = {
    "codecs": {"rows"},
    "trust": {"classes", "codecs"},
    "engines": {"classes", "codecs", "trust"},
}
# Sideways, as the design names it.
SIDEWAYS = {("aio", "sessions"), ("cache", "memo")}
RANKS = {part: rank for rank, parts in enumerate(ORDER) for part in parts}
REGISTERED = re.compile(r"store(\.\w+)+:\w+")  # "module:attribute", which a registry imports late
FRONT = "store"  # store/__init__.py: shows what the parts above the command line offer

# Third-party library → the modules that may import it.
LIBRARIES = {
    "filelock": {"store.system.locking"},
    "sqlite_utils": {"store.engines.sqlite.schema"},
    "platformdirs": {"store.trust.keys.ring", "store.settings.opening"},
    "attrs": {"store.settings.attrs"},  # for a class that was made with it
    "pydantic": {"store.settings.pydantic"},
    "pydantic_core": {"store.settings.pydantic"},
    "click": {"store.cli", "store.integrations.datasette"},
    "greenlet": {"store.system.awaiting"},
    "psycopg": {"store.engines.postgres"},
    "psycopg_pool": {"store.engines.postgres"},
    "redis": {"store.engines.redis", "store.importers.redis_source"},
    "msgpack": {"store.codecs.msgpack"},
    "tomli_w": {"store.codecs.toml"},
    "yaml": {"store.codecs.yaml.codec", "store.codecs.yaml.events"},
    "fastavro": {"store.codecs.avro.codec"},
    "google": {"store.codecs.protobuf.codec"},
    "numpy": {
        "store.codecs.numpy.codec", "store.codecs.numpy.dtype", "store.codecs.restricted.arrays", "store.codecs.restricted.dtypes",
        "store.web.values.arrays",
    },
    "cloudpickle": {"store.codecs.cloudpickle"},
    "dill": {"store.codecs.dill"},
    "joblib": {"store.codecs.joblib"},
    "django": {"store.integrations.django"},
    "asgiref": {"store.integrations.django"},
    "flask": {"store.integrations.flask"},
    "werkzeug": {"store.integrations.flask"},
    "markupsafe": {"store.integrations.flask", "store.integrations.datasette"},
    "starlette": {"store.integrations.starlette", "store.web.app"},
    "uvicorn": {"store.web.app"},
    "h11": {"store.web.app"},
    "datasette": {"store.integrations.datasette"},
    "rich": {"store.cli.top"},
    "starsessions": {"store.integrations.starlette"},
    "cachelib": {"store.integrations.cachelib"},
    "dogpile": {"store.integrations.dogpile"},
    "key_value": {"store.integrations.key_value"},
    "pydantic_settings": {"store.integrations.pydantic_settings"},
    "aiohttp": {"store.integrations.aiohttp"},
    "aiohttp_session": {"store.integrations.aiohttp"},
    "aiocache": {"store.integrations.aiocache"},
    "requests_cache": {"store.integrations.requests_cache"},
    "apscheduler": {"store.integrations.apscheduler"},
}


def modules() -> dict[str, Path]:
    found = {}
    for file in PACKAGE.rglob("*.py"):
        parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


MODULES = modules()


def part_of(module: str) -> str:
    """The part of the package that a module is in: the folder or the file right below `store`."""
    if module in (FRONT, "store.__main__"):
        return module
    part = module.split(".")[1]
    if part not in RANKS:
        pytest.fail(f"{module} is in no part: give {part} a place in ORDER, and in the design")
    return part


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


def complaints(module: str, found: Iterable[tuple[str, int]]) -> list[str]:
    """What of a module's imports goes down or sideways."""
    mine = part_of(module)
    return [
        f"{module}:{line} imports {dotted}"
        for dotted, line in found
        if dotted.partition(".")[0] == "store" and not may_import(mine, part_of(dotted))
    ]


def may_import(mine: str, theirs: str) -> bool:
    if mine == theirs or (mine, theirs) in SIDEWAYS:
        return True
    if mine == FRONT:
        return theirs != "cli"
    if mine == "store.__main__":
        return theirs == "cli"
    if theirs == FRONT:
        return mine == "cli"
    return RANKS[theirs] < RANKS[mine] and theirs not in APART.get(mine, set())


@cache
def all_imports() -> dict[str, list[tuple[str, int]]]:
    """Each module of the package, and what it imports."""
    return {module: list(imports(module)) for module in sorted(MODULES)}


@pytest.mark.slow
def test_imports_go_up_the_list() -> None:
    assert [one for module, found in all_imports().items() for one in complaints(module, found)] == []


@pytest.mark.slow
def test_folders_of_the_pages_import_those_above_them() -> None:
    order = ["store.web.values", "store.web.parts", "store.web.forms", "store.web.pages", "store.web.app"]

    def rank(module: str) -> int:
        return next((place for place, folder in enumerate(order) if f"{module}.".startswith(f"{folder}.")), -1)

    ranked = {module: rank(module) for module in MODULES}
    assert set(ranked.values()) == set(range(-1, len(order)))
    inside = [(module, theirs) for module, found in all_imports().items() if ranked[module] >= 0 for theirs, _ in found]
    assert [(module, theirs) for module, theirs in inside if rank(theirs) > ranked[module]] == []


def test_every_part_is_there() -> None:
    assert set(RANKS) == {part_of(module) for module in MODULES} - {FRONT, "store.__main__"}


@pytest.mark.parametrize(
    "module, source",
    [
        ("store.errors", "import store.rows.record"),
        ("store.rows.record", "from store.codecs import Codec"),
        ("store.codecs.json", "from store.trust import keys"),
        ("store.trust.seal", "def f():\n    from store.codecs.pickle import codec"),
        ("store.engines.sqlite.backend", "try:\n    import store.codecs\nexcept ImportError: pass"),
        ("store.engines.sqlite.backend", "from store.values.pipeline import Pipeline"),
        ("store.values.pipeline", "import store.mapping.store"),
        ("store.values.pipeline", "from store import Store"),
        ("store.opened.namespace", "from store.shelf import open"),
        ("store.mapping.store", "import store.cli"),
        ("store.shelf", "from store import sessions"),
        ("store.messages", "from store.memo import memo"),
        ("store.messages", "from store import Store"),
        ("store.importers.formats.shelve", "from store.export import export_to"),
        ("store.export", "from store.importers import Found"),
        ("store.mapping.store", "import store.integrations.flask"),
        ("store.integrations.flask", "import store.compat.diskcache"),
        ("store", "if True:\n    import store.cli"),
        ("store.trust.keys.ring", "where = 'store.codecs.pickle:codec'"),
        ("store.errors", "if TYPE_CHECKING:\n    pass\nelse:\n    import store.rows.record"),
    ],
)
def test_import_that_is_wrong_is_found(module: str, source: str) -> None:
    assert len(complaints(module, imports(module, ast.parse(source)))) == 1


@pytest.mark.parametrize(
    "module, source",
    [
        ("store.codecs.json", "from store.errors import Corrupt"),
        ("store.codecs.json", "from store.codecs import Codec"),
        ("store.opened.namespace", "from store.trust import keys"),
        ("store.mapping.store", "from store.mapping.views import Items"),
        ("store.shelf", "from store.mapping.store import Store"),
        ("store", "from store.shelf import open"),
        ("store.messages", "from store.messages.frame import Incoming"),
        ("store.importers", "from store.system.registry import Registry"),
        ("store.importers.run", "from store.care.foreign import Foreign"),
        ("store.integrations.flask", "from store.sessions import Sessions"),
        ("store.errors", "if TYPE_CHECKING:\n    import store.rows.record"),
    ],
)
def test_import_that_is_right_passes(module: str, source: str) -> None:
    assert complaints(module, imports(module, ast.parse(source))) == []


# The modules of `engines` that know no engine. Only the registry names those of one, as text.
SHARED = {f"store.engines.{file.stem}" for file in (PACKAGE / "engines").glob("*.py")}


def of_one_engine(module: str, found: Iterable[tuple[str, int]]) -> list[str]:
    """The imports that name a module of one engine, where the importer is not of an engine itself."""
    if module == "store.engines.registry" or (part_of(module) == "engines" and module not in SHARED):
        return []
    return [
        f"{module}:{line} imports {dotted}"
        for dotted, line in found
        if dotted.startswith("store.engines.") and dotted not in SHARED
    ]


def test_only_the_registry_names_an_engine() -> None:
    assert [one for module, found in all_imports().items() for one in of_one_engine(module, found)] == []


@pytest.mark.parametrize(
    "module, source, names_one",
    [
        ("store.care.recover", "from store.engines.sqlite.salvage import source", True),
        ("store.opened.opening", "def f():\n    import store.engines.memory.engine", True),
        ("store.care.destroy", "where = 'store.engines.sqlite.care.destroy:destroy'", True),
        ("store.engines.overlay", "from store.engines.memory.rows import Committed", True),
        ("store.care.recover", "from store.engines.unopened import DamagedStore", False),
        ("store.engines.memory.engine", "from store.engines.memory.rows import Committed", False),
        ("store.engines.registry", "where = 'store.engines.memory.engine:open_memory'", False),
    ],
)
def test_name_of_an_engine_is_found(module: str, source: str, names_one: bool) -> None:
    assert bool(of_one_engine(module, imports(module, ast.parse(source)))) is names_one


def test_module_in_no_part_is_found() -> None:
    with pytest.raises(pytest.fail.Exception, match=r"store\.utils is in no part"):
        part_of("store.utils")


def misplaced(module: str, found: Iterable[tuple[str, int]]) -> list[str]:
    """The imports of libraries that this module may not import."""
    here = set(accumulate(module.split("."), "{}.{}".format))  # it, and the folders that it is in
    libraries = ((dotted.partition(".")[0], line) for dotted, line in found)
    return [
        f"{module}:{line} imports {library}"
        for library, line in libraries
        if library != "store" and library not in sys.stdlib_module_names and not here & LIBRARIES.get(library, set())
    ]


def test_each_library_has_its_one_place() -> None:
    assert [one for module, found in all_imports().items() for one in misplaced(module, found)] == []


def test_library_in_another_place_is_found() -> None:
    assert misplaced("store.errors", [("click.core", 7), ("sys", 8), ("numpy", 9), ("store", 10)]) == [
        "store.errors:7 imports click", "store.errors:9 imports numpy",
    ]  # fmt: skip
    assert misplaced("store.cli.keys", [("click", 7)]) == []
