"""Fresh processes that open an existing store and read one record, and the command line."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter

from store.engines.sqlite import statements as sql

from .outcome import Outcome
from .peers import raw, store
from .peers.roster import EVERYBODY
from .plan import Plan
from .processes import SECONDS, command
from .session import name, pairs

NOTHING, COMMAND = "python -c pass", "store get"
_RAW = f"""
import sqlite3, pickle
conn = sqlite3.connect({raw.FILE!r})
pickle.loads(conn.execute({sql.FIND!r}, ("", {name(7)!r})).fetchone()[7])
"""
_READS = f"[{name(7)!r}]"
_PROGRAMS = {  # label of the peer → a program that reads one record of it
    "store": f"from store import Store\nStore({store.FILE!r}){_READS}",
    raw.LABEL: _RAW,
    "shelve, gdbm": f"import shelve\nshelve.open('shelf', 'r'){_READS}",
    "shelve, dbm.sqlite3": f"import shelve\nshelve.open('shelf', 'r'){_READS}",
    "shelve, dbm.dumb": f"import shelve\nshelve.open('shelf', 'r'){_READS}",
    "sqlitedict": f"from sqlitedict import SqliteDict\nd = SqliteDict('dict.db')\nd{_READS}\nd.close()",
    "diskcache Cache": f"from diskcache import Cache\nCache('cache'){_READS}",
    "LMDB + pickle": f"import lmdb, pickle\npickle.loads(lmdb.open('lmdb').begin().get({name(7).encode()!r}))",
    "rocksdict": f"from rocksdict import Rdict\nRdict('rocks'){_READS}",
    "ZODB": f"import ZODB\nZODB.DB('data.fs').open().root.tree{_READS}",
    "cachelib files": f"from cachelib import FileSystemCache\nFileSystemCache('files', 0).get({name(7)!r})",
}


def measure(plan: Plan) -> Outcome:
    """Seconds from start to end of a process, all taking turns."""
    with ExitStack() as stack:
        commands: dict[str, tuple[list[str], Path]] = {}
        for kind in EVERYBODY:
            if kind.label in _PROGRAMS and not kind.is_absent():
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="store-bench-")))
                peer = kind.open(folder)
                peer.bulk(pairs(plan.records))
                peer.flush()
                peer.close()
                commands[kind.label] = command(_PROGRAMS[kind.label]), folder
        here = commands["store"][1]
        commands[NOTHING] = command("pass"), here
        commands[COMMAND] = [*_command_line(), "get", store.FILE, name(7)], here
        series: dict[str, list[float]] = {label: [] for label in commands}
        for _ in range(plan.starts + 1):
            for label, (words, folder) in commands.items():
                series[label].append(_seconds(words, folder))
    return Outcome(
        "cold", "a fresh process reads one record of an existing store",
        {label: figures[1:] for label, figures in series.items()}, raw.LABEL,  # the first ones fill the disk's cache
        remarks={COMMAND: "the command line, all of it", NOTHING: "the floor"},
    )  # fmt: skip


def _seconds(words: list[str], folder: Path) -> float:
    compiled = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}  # as pip leaves it
    start = perf_counter()
    done = subprocess.run(
        words, cwd=folder, env=compiled, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=SECONDS, check=False
    )
    took = perf_counter() - start
    if done.returncode:
        raise RuntimeError(f"{words[-1]}: {done.stderr.decode(errors='replace').strip()[-300:]}")
    return took


def _command_line() -> list[str]:
    """The installed script, as people call it."""
    script = Path(sys.executable).with_name("store")
    return [str(script)] if script.exists() else [sys.executable, "-m", "store"]
