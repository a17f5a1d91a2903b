"""A migration, or the making of a store, that is killed at any step: the next who opens the file completes it, once.

The file is of the first version of the schema, so that all steps are done. One more version is played: a step that gives
the table `records` a column with a value in each row, an index and a table, which takes several statements and every row.
"""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import count, cycle
from pathlib import Path
from random import Random
from typing import Any

from store import Store
from store.engines.sqlite import schema as schema
from store.rows.row import Row

from .killer import ended, forked
from .trial import Promise, Round

OLD = Path(__file__).parents[1] / "golden" / "1"
FILES = ("closed.store", "unfolded.store")
WAITING = 2  # processes that open the file at the same time
TIMEOUT = 60.0  # seconds

RELEASED = schema.SCHEMA_VERSION
PLAYED = f"{RELEASED + 1:04}_checked"
SPILL = Row._fields.index("spill")
ROWS = "SELECT * FROM records ORDER BY id"
APPLIED = "SELECT name FROM _sqlite_migrations ORDER BY id"


# -- the release after this one


def _widen(db: Any) -> None:
    db.execute("CREATE TABLE steps (number INTEGER) STRICT")
    db.execute("ALTER TABLE records ADD COLUMN checked INTEGER")
    for (id_,) in db.execute("SELECT id FROM records").fetchall():
        db.execute("UPDATE records SET checked = coalesce(checked, 0) + id WHERE id = ?", [id_])
    db.execute("CREATE INDEX records_by_checked ON records (checked)")
    db.execute("INSERT INTO steps VALUES (2)")


def _structure() -> dict[Any, str | None]:
    """What SQLite makes of the schema's text in that step."""
    with closing(sqlite3.connect(":memory:")) as conn:
        for text in filter(None, schema.STEPS[-1].structure.values()):
            conn.execute(text)
        _widen(conn)
        tables = "('identity', 'sealers', 'records', 'garbage', 'spilled', 'steps')"
        found = conn.execute(f"SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE tbl_name IN {tables}")
        return {(kind, name, table): text for kind, name, table, text in found}


@contextmanager
def next_release(apply: Callable[[Any], None] = _widen) -> Iterator[None]:
    """Opens files as the release after this one would, which knows one more version of the schema."""
    steps = schema.STEPS
    schema.STEPS = (*steps, schema.Step(PLAYED, apply, _structure()))
    schema.SCHEMA_VERSION = len(schema.STEPS)
    try:
        yield
    finally:
        schema.STEPS, schema.SCHEMA_VERSION = steps, len(steps)


# -- a file of this release, and what is asked of it


def old_copy(target: Path, file: str = "closed.store") -> Path:
    """A copy of a golden store, its log and files with it."""
    for suffix in ("", "-wal"):
        if (OLD / f"{file}{suffix}").exists():
            shutil.copyfile(OLD / f"{file}{suffix}", f"{target}{suffix}")
    if (OLD / f"{file}-spill").exists():
        shutil.copytree(OLD / f"{file}-spill", f"{target}-spill")
    return target


def rows_of(path: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as conn:
        return conn.execute(ROWS).fetchall()


def spilled_in(rows: list[tuple[Any, ...]]) -> int:
    """The bytes of the files that the rows name."""
    return sum(size for row in rows if row[SPILL] for _, size, _ in json.loads(row[SPILL]))


def problems(path: Path, rows: list[tuple[Any, ...]]) -> list[str]:
    """What is wrong with a file that must have been migrated, once, and hold those rows."""
    width = len(rows[0])
    with closing(sqlite3.connect(path)) as conn:
        found = {
            "check": conn.execute("PRAGMA integrity_check").fetchall() == [("ok",)],
            "version": conn.execute("PRAGMA user_version").fetchone() == (len(schema.STEPS) + 1,),
            "steps": conn.execute("SELECT number FROM steps").fetchall() == [(2,)],
            "applied": conn.execute(APPLIED).fetchall() == [*((step.name,) for step in schema.STEPS), (PLAYED,)],
            "spilled": conn.execute("SELECT bytes FROM spilled").fetchall() == [(spilled_in(rows),)],
            "log": conn.execute("PRAGMA journal_mode").fetchone() == ("wal",),
            "rows": [row[:width] for row in conn.execute(ROWS)] == rows,
            "new column": all(row[width] == row[0] for row in conn.execute(ROWS)),
        }
    return [what for what, is_right in found.items() if not is_right]


def opened(path: Path) -> None:
    """Open it as the next release does, read and write."""
    with next_release(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the foreign keys in it
        with Store[Any](path, key=OLD / "key", timeout=TIMEOUT) as s:
            assert len(s) >= 3


# -- processes that are killed


def make(path: Path, name: str) -> None:
    with Store[Any](path, timeout=TIMEOUT) as s:
        s[name] = 1


def clear(path: Path) -> None:
    for file in path.parent.glob(f"{path.name}*"):
        if file.is_dir():
            shutil.rmtree(file)
        else:
            file.unlink()


def kill_a_migration(
    folder: Path, moment: int, waiting: int, file: str, rows: list[tuple[Any, ...]]
) -> tuple[bool, list[str]]:
    """Whether it was killed before its end; and what is wrong afterwards."""
    path = old_copy(folder / f"migrated {moment}", file)
    others = [forked(lambda: opened(path)) for _ in range(waiting)]
    code = ended(forked(lambda: opened(path), moment))
    wrong = [f"waiting: exit {code}" for code in map(ended, others) if code]
    if not others:
        wrong += [f"the next: exit {code}" for code in [ended(forked(lambda: opened(path)))] if code]
    wrong += problems(path, rows) + ([] if code in (0, -signal.SIGKILL) else [f"exit {code}"])
    clear(path)
    return code != 0, wrong


def kill_a_making(folder: Path, moment: int, waiting: int) -> tuple[bool, list[str]]:
    """The same of a store that is made."""
    path = folder / f"made {moment}.db"
    others = [f"other {number}" for number in range(waiting)]
    pids = [forked(lambda name=name: make(path, name)) for name in others]  # type: ignore[misc]
    code = ended(forked(lambda: make(path, "a"), moment))
    wrong = [] if code in (0, -signal.SIGKILL) else [f"exit {code}"]
    wrong += [f"waiting: exit {code}" for code in map(ended, pids) if code]
    with Store[Any](path, timeout=TIMEOUT) as s:
        s["b"] = 2
        found: Any = dict(s)
    if found.pop("a", None) not in ((None, 1) if code else (1,)) or found != dict.fromkeys(others, 1) | {"b": 2}:
        wrong.append(f"it holds {found}")
    with closing(sqlite3.connect(path)) as conn:
        found = [
            conn.execute(f"{question}").fetchall()
            for question in ("PRAGMA journal_mode", "PRAGMA integrity_check", "SELECT count(*) FROM identity")
        ]
    if found != [[("wal",)], [("ok",)], [(1,)]]:
        wrong.append(f"{found}")
    clear(path)
    return code != 0, wrong


def kill_at(moments: Iterator[int], trial: Callable[[int, int], tuple[bool, list[str]]]) -> Round:
    """A trial at each of the moments, each second one with others that wait, until one comes after the end of the work.

    Where there are others, one of them may have done the work, and the end comes early.
    """
    done = Round()
    for others, moment in zip(cycle((0, WAITING)), moments, strict=False):
        was_killed, wrong = trial(moment, others)
        done.trials += was_killed
        done.failures += [f"killed at step {moment}, {others} waiting: {', '.join(wrong)}"] if wrong else []
        if not was_killed and not others:
            break
    return done


def warm_up(folder: Path) -> None:
    """Import what the children need."""
    path = old_copy(folder / "warm", FILES[0])
    opened(path)
    clear(path)


def kill_migrations(folder: Path, moments: Iterator[int], file: str) -> Round:
    reference = old_copy(folder / "reference", file)
    rows = rows_of(reference)
    clear(reference)
    return kill_at(moments, lambda moment, others: kill_a_migration(folder, moment, others, file, rows))


def kill_makings(folder: Path, moments: Iterator[int]) -> Round:
    return kill_at(moments, lambda moment, others: kill_a_making(folder, moment, others))


def _run(rng: Random, folder: Path) -> Round:
    warm_up(folder)
    step = rng.randrange(30, 60)
    done = kill_migrations(folder, count(rng.randrange(1, step), step), rng.choice(FILES))
    step = rng.randrange(20, 40)
    made = kill_makings(folder, count(rng.randrange(1, step), step))
    return Round(done.trials + made.trials, done.failures + made.failures)


MIGRATIONS = Promise(
    key="migrations",
    promise="A migration to a new schema, or the making of a store, that is killed at any moment is completed by the next open.",
    how=(
        "SIGKILL at counted steps of a migration of a store of the first release to a schema after this one, others waiting to "
        "open the same file, and of the making of a store. A failure: not migrated exactly once, a row that differs, "
        "a process that does not get through."
    ),
    unit="kills",
    run=_run,
)
