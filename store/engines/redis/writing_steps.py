"""Changes of records as the steps of the script that makes them."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

from store.engines.contract import ABSENT, ANY, Change, Delete, Expected, Load, Put
from store.engines.redis.packing import MAX_BYTES, STAMP_ABSENT, STAMP_ANY, pack, pack_stamp
from store.engines.redis.scripts.script import MAX_RECORDS
from store.engines.redis.scripts.writing import CHECK, CHECK_VERSION, DELETE, LOAD, PUT
from store.errors import Conflict, Unsupported, label
from store.rows.row import Row

STEP = 5  # arguments of each step


def encoded(name: str) -> bytes:
    """A name as it is stored: UTF-8, whose byte order is that of code points."""
    return name.encode("utf-8", "surrogatepass")


def decoded(name: bytes) -> str:
    return str(name, "utf-8", "surrogatepass")


def steps_of(namespace: str, changes: Sequence[Change | Load]) -> list[bytes]:
    """The arguments for those changes. Raises: Unsupported: they are too many, or of several namespaces."""
    if len(changes) > MAX_RECORDS:
        raise too_many(len(changes))
    steps: list[bytes] = []
    for change in changes:
        steps += _step(namespace, change)
    if sum(map(len, steps)) > MAX_BYTES + 4096 * len(changes) and len(changes) > 1:
        raise Unsupported(
            "the engine 'redis' writes up to 64 MiB at once; nothing was written, write fewer records at a time",
            engine="redis",
            feature="more than 64 MiB at once",
        )
    return steps


def rows_of(changes: Sequence[Change | Load]) -> list[Row]:
    """The rows that those changes put."""
    return [
        change if isinstance(change, Row) else change.row
        for change in changes
        if isinstance(change, Row | Put | Load)
    ]  # fmt: skip


def too_many(number: int) -> Unsupported:
    """The error for more records than one operation can have."""
    return Unsupported(
        f"{number:,} records at once, and the engine 'redis' changes or reads up to {MAX_RECORDS:,} in one step; do "
        "it in several, or keep the store in a file or on PostgreSQL",
        engine="redis",
        feature=f"more than {MAX_RECORDS:,} records at once",
    )


def _step(namespace: str, change: Change | Load) -> tuple[bytes, bytes, bytes, bytes, bytes]:
    if isinstance(change, Row):
        return _row(PUT, namespace, change, STAMP_ANY)
    if isinstance(change, Put | Load):
        return _row(PUT if isinstance(change, Put) else LOAD, namespace, change.row, _expected(change.expect))
    if isinstance(change, Delete):
        now = b"" if change.now == -math.inf else struct.pack("<d", change.now)
        return DELETE, encoded(change.name), _expected(change.expect), now, b""
    if change.name is None:
        return CHECK_VERSION, b"", str(change.expect).encode(), b"", b""
    return CHECK, encoded(change.name), _expected(change.expect), b"", b""


def _row(op: bytes, namespace: str, row: Row, expected: bytes) -> tuple[bytes, bytes, bytes, bytes, bytes]:
    if row.namespace != namespace:
        raise Unsupported(
            f"the engine 'redis' changes one namespace in one step, and these are {namespace!r} and "
            f"{row.namespace!r}; nothing was written",
            engine="redis",
            feature="changes of several namespaces at once",
        )
    return op, encoded(row.name), expected, pack(row), expiry_text(row.expires)


def expiry_text(expires: float | None) -> bytes:
    """A time as the server parses it, to the last bit."""
    return b"" if expires is None else repr(float(expires)).encode()


def _expected(expected: Expected) -> bytes:
    if expected is ANY:
        return STAMP_ANY
    return STAMP_ABSENT if expected is ABSENT else pack_stamp(str(expected))


def conflict(error: str, steps: Sequence[Any], namespace: str) -> Conflict:
    """The error for a script's `CONFLICT index what`."""
    _, index, *what = error.split()
    step = (int(index) - 6) // STEP * STEP
    if steps[step] == CHECK_VERSION:
        return Conflict("the namespace was changed meanwhile; run the transaction again", namespace=namespace)
    name = decoded(steps[step + 1])
    if what == ["waiting"]:
        return Conflict(
            f"{label(name, namespace)} is being edited by another client, which waits for this one; nothing was "
            "written, run it again",
            name=name,
            namespace=namespace,
        )
    text = {"there": "is there", "deleted": "was deleted"}.get(what[0] if what else "", "was changed")
    return Conflict(f"{label(name, namespace)} {text} meanwhile; read it again", name=name, namespace=namespace)


def leased_name(error: str, steps: Sequence[Any]) -> str | None:
    """The name in a script's `LEASED index`; None: any name of the namespace."""
    index = int(error.split()[1])
    return None if index == 0 else decoded(steps[(index - 6) // STEP * STEP + 1])
