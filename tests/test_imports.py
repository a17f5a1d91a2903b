"""What a fresh interpreter loads: for `import store`, for the first read, and for a command.

Each module takes 0.2 ms of every start, and some of the standard library take 5. A table that does not fit any more
is printed as it should be: change it here if that is meant.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import store

# The modules of this package that import, open and one read load: each folder, and its files.
READ = """
store               classes codecs engines errors mapping opened rows shelf system trust values watching
store.classes       allowlist dotted lookup moved placeholder renaming shown size
store.codecs        adapted auto contract pickle plain refusals registry
store.codecs.pickle based codec
store.engines       activity capabilities contract named_locks reentry registry sqlite transaction
store.engines.sqlite
    backend engine errors handle opening reading refusals schema spill statements writing
store.engines.sqlite.engine
    activity_file checkpoints coherence database_file engine fetching log_files log_locks mapped_file opener pool ring
    ring_file shared_database synced_log thread_connection usability wal_index wal_readers writer
store.engines.sqlite.opening
    attach companions connection files journals local names network private_copy single_name strategy
store.engines.sqlite.spill
    checksums files folder garbage hollow mapping pending reading writing
store.mapping       store views
store.opened
    arguments cache_entries decoding edits key_warnings locks namespace opening options purging readcache reading restarts
    sentinels writeback writing
store.rows          row spilled
store.system
    allocation backoff caller clock deadlock descriptors digests file_status forking late lock_file locking mounts
    range_locks reentry refusals registry rights running step_budget syncing turns waits
store.trust         keys seal
store.trust.keys    file key ring text
store.values        choices large packing pipeline readback unpacking
"""
# `store get` loads these too.
GET = """
store               cli display
store.cli           output reading records
store.cli.output    exits terminal
store.cli.reading   groups opening options values
store.codecs        formats json
store.display       text
"""
# Of the standard library, beside what a program with `sqlite3` and `pickle` has: at most these, on any Python.
READ_LIBRARY = """
__future__ _blake2 _typing _weakrefset array atexit contextlib encodings errno fcntl gc importlib math mmap shlex
threading typing warnings weakref zlib
"""
# And beside what a program with `click` and `json` has as well. click itself loads inspect, and that dataclasses' own.
GET_LIBRARY = READ_LIBRARY + "ast copy io locale _locale"


def loaded(program: str, *arguments: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after a program."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{program}\nprint(*sys.modules)", *arguments],
        stdout=subprocess.PIPE, text=True, timeout=60, check=True,
    )  # fmt: skip
    return set(done.stdout.splitlines()[-1].split())


def tops(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


def libraries(modules: set[str]) -> set[str]:
    """Those that are not of the standard library, and that an interpreter does not load by itself."""
    return tops(modules) - sys.stdlib_module_names - tops(loaded(""))


def own(modules: set[str]) -> set[str]:
    return {name for name in modules if name.startswith("store.")}


def listed(table: str) -> set[str]:
    """The modules of a table: a word with a dot, or at the start of a line, names the folder of those that follow."""
    found, folder = set(), ""
    for line in table.splitlines():
        words = line.split()
        if words and not line[0].isspace():
            folder = words.pop(0)
        found |= {f"{folder}.{word}" for word in words}
    return found


def differences(found: set[str], table: set[str]) -> dict[str, list[str]]:
    """Empty if they are the same; else what to add to the table, and what to remove from it."""
    parts = {"is loaded and not in the table": found - table, "is in the table and not loaded": table - found}
    return {what: sorted(names) for what, names in parts.items() if names}


READ_ONE = "import store\nwith store.Store(sys.argv[1]) as s: assert s['x'] == [1]"
GET_ONE = "from store.cli import main\nassert main(['get', *sys.argv[1:]]) == 0"


@pytest.fixture
def stored(path: Path) -> str:
    """The path of a store that has the record "x"."""
    with store.Store(path) as s:
        s["x"] = [1]
    return str(path)


def test_import_of_the_package_loads_no_library() -> None:
    found = loaded("import store")
    assert own(found) < listed(READ)
    assert libraries(found) == {"store"}
    assert "sqlite3" not in found


def test_first_read_loads_these_modules_of_the_package(stored: str) -> None:
    assert differences(own(loaded(READ_ONE, stored)), listed(READ)) == {}


def test_first_read_of_a_store_without_a_key_loads_the_same(path: Path, own_key: Path) -> None:
    store.Store(path).close()
    assert not own_key.exists()
    found = loaded("import store\nwith store.Store(sys.argv[1]) as s: assert s.get('x') is None", str(path))
    assert differences(own(found), listed(READ)) == {}


@pytest.mark.slow
def test_first_read_loads_little_of_the_standard_library(stored: str) -> None:
    found = tops(loaded(READ_ONE, stored)) - tops(loaded("import sqlite3, pickle"))
    assert sorted(found - {"store", *READ_LIBRARY.split()}) == []


@pytest.mark.slow
def test_command_loads_these_modules_of_the_package(stored: str) -> None:
    assert differences(own(loaded(GET_ONE, stored, "x")), listed(READ) | listed(GET)) == {}


@pytest.mark.slow
def test_command_loads_little_beside_click(stored: str) -> None:
    found = tops(loaded(GET_ONE, stored, "x")) - tops(loaded("import sqlite3, pickle, click, json"))
    assert sorted(found - {"store", *GET_LIBRARY.split()}) == []


@pytest.mark.slow
def test_writing_to_an_existing_store_loads_no_tools(path: Path) -> None:
    store.Store(path).close()
    found = loaded("import store\nwith store.Store(sys.argv[1]) as s: s['x'] = 1", str(path))
    assert libraries(found) == {"store", "filelock"}


@pytest.mark.slow
def test_settings_of_a_dataclass_load_no_library(path: Path) -> None:
    store.Store(path).close()  # to make one takes sqlite-utils, and that takes click
    found = tops(loaded(
        "from dataclasses import dataclass\nfrom store.settings import Settings, export, import_\n"
        "@dataclass\nclass Prefs: x: int = 1\n"
        "with Settings(Prefs, sys.argv[1], env_prefix='A_') as prefs:\n"
        "    prefs.x = 2\n    import_(prefs, export(prefs, 'json'), 'json')\n    assert prefs.x == 2",
        str(path),
    ))  # fmt: skip
    assert "filelock" in found
    assert found & {"attrs", "attr", "pydantic", "pydantic_core", "yaml", "tomli_w", "click", "asyncio"} == set()


def test_difference_of_a_table_is_named() -> None:
    table = listed("store.a  b c\n    d\nstore    a")
    assert table == {"store.a.b", "store.a.c", "store.a.d", "store.a"}
    assert differences({"store.a", "store.a.b", "store.a.c", "store.e"}, table) == {
        "is loaded and not in the table": ["store.e"],
        "is in the table and not loaded": ["store.a.d"],
    }
