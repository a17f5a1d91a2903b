"""What a put writes, whichever statement is used for it."""

from __future__ import annotations

import sqlite3
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import pytest

from store import Store
from store.engines.sqlite.writing import SHORT
from store.rows.row import Row

pytestmark = pytest.mark.damaged  # no key sealed these rows

SIZES = [0, 10, SHORT - 1, SHORT, 50_000]


def row_of(name: str, *, size: int = 10, expires: float | None = None, revision: int = 1) -> Row:
    seal, body = b"s" * 24, bytes(range(256)) * (size // 256) + b"b" * (size % 256)
    return Row(None, "n", name, "pickle", 5, "dict", "3.11", body, None, seal, 7, revision, 5.0, 6.5, expires)


def columns(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as conn:
        assert set(conn.execute("SELECT typeof(body), typeof(seal) FROM records")) == {("blob", "blob")}
        return [(None, *found[1:]) for found in conn.execute("SELECT * FROM records ORDER BY id")]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("expires", [None, 4e9])
@pytest.mark.parametrize("revision", [1, 3])
def test_put_writes_every_column(path: Path, size: int, expires: float | None, revision: int) -> None:
    row = row_of("a", size=size, expires=expires, revision=revision)
    with Store(path) as s:
        s.opened.engine.put(row)
    assert columns(path) == [tuple(row)]


@pytest.mark.parametrize("expires", [None, 4e9])
@pytest.mark.parametrize("before", [None, 4e9])
def test_put_replaces_every_column_but_the_time_of_creation(
    path: Path, before: float | None, expires: float | None
) -> None:
    with Store(path) as s:
        s.opened.engine.put(row_of("a", size=100, expires=before))
        later = row_of("a", size=200, expires=expires)._replace(
            codec="json", protocol=1, type="list", python="3.12", seal=b"t" * 24, crc=8, created=9.0, modified=9.0
        )
        s.opened.engine.put(later)
    assert columns(path) == [tuple(later._replace(created=5.0, revision=2))]


def apply(s: Store[Any], rows: list[Row], *, inside: bool) -> None:
    """Put them all, in a transaction of the program or in the engine's own."""
    with s.transaction() if inside else nullcontext():
        s.opened.engine.apply("n", rows)


@pytest.mark.parametrize("changed", [{}, {"expires": 4e9}, {"revision": 3}], ids=["alike", "lifetimes", "revisions"])
@pytest.mark.parametrize("inside", [True, False])
def test_many_rows_of_different_kinds(path: Path, changed: dict[str, float], inside: bool) -> None:
    rows = [row_of(str(number), size=size) for number, size in enumerate(SIZES)]
    rows[2] = rows[2]._replace(**changed)
    with Store(path) as s:
        apply(s, rows, inside=inside)
    assert columns(path) == [tuple(row) for row in rows]


@pytest.mark.parametrize("inside", [True, False])
def test_many_rows_over_one_that_has_expired(path: Path, inside: bool) -> None:
    """They are put one by one then: what has expired comes back at the end, in the order of the others."""
    rows = [row_of(str(number)) for number in range(4)]
    with Store(path) as s:
        s.opened.engine.put(row_of("2", expires=1.0))
        apply(s, rows, inside=inside)
    assert columns(path) == [tuple(row) for row in rows]
