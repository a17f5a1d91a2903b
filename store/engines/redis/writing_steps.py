"""Changes of records as the steps of the script that makes them."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence

from store.engines.contract import ABSENT, ANY, Change, Delete, Expected, Load, Put
from store.engines.redis.errors import damaged
from store.engines.redis.keys import Keys, slot_of
from store.engines.redis.packing import MAX_BYTES, STAMP_ABSENT, STAMP_ANY, pack, pack_stamp
from store.engines.redis.scripts.script import MAX_RECORDS
from store.engines.redis.scripts.writing import CHECK, CHECK_VERSION, DELETE, LOAD, PUT
from store.engines.registry import ONE_NAMESPACE, supported
from store.errors import Conflict, StorageError, Unsupported, label
from store.rows.row import Row

STEP = 5  # arguments of each step


def encoded(name: str) -> bytes:
    """A name as it is stored: UTF-8, whose byte order is that of code points."""
    return name.encode("utf-8", "surrogatepass")


def decoded(name: bytes) -> str:
    return str(name, "utf-8", "surrogatepass")


class Steps:
    """What one script does, in namespaces of one slot."""

    def __init__(self, namespaces: Sequence[str], steps: list[bytes], counts: Sequence[int] = ()) -> None:
        """`counts`: how many steps are of each namespace, where there are several."""
        self.namespaces = namespaces
        self.arguments = [b"%d" % count for count in counts] + steps if counts else steps
        self._steps = steps
        self._counts = counts

    def conflict(self, error: str) -> Conflict:
        """The error for a script's `CONFLICT number what`."""
        _, number, *what = error.split()
        place = int(number)
        namespace, op = self._namespace_of(place), self._steps[place * STEP]
        if op == CHECK_VERSION:
            return Conflict("the namespace was changed meanwhile; run the transaction again", namespace=namespace)
        name = decoded(self._steps[place * STEP + 1])
        return _conflict(name, namespace, what[0] if what else "")

    def leased(self, error: str) -> tuple[str | None, str]:
        """The name and the namespace of a script's `LEASED number`; None: any name."""
        place = int(error.split()[1])
        return (
            (None, self.namespaces[0])
            if place < 0
            else (decoded(self._steps[place * STEP + 1]), self._namespace_of(place))
        )

    def damaged(self, error: str, keys: Callable[[str], Keys], where: str) -> StorageError:
        """The error for a script's `DAMAGED number field`."""
        _, number, field = error.split()[:3]
        of_space = keys(self.namespaces[int(number)])
        return damaged(field, of_space.changes if field == "changes" else of_space.meta, where)

    def missing(self, error: str) -> str:
        """The namespace that a script's `NOSPACE number` did not find."""
        number = error.split()[1]
        return self.namespaces[int(number)] if number.isdecimal() else self.namespaces[0]

    def _namespace_of(self, place: int) -> str:
        for namespace, count in zip(self.namespaces, self._counts, strict=False):
            if place < count:
                return namespace
            place -= count
        return self.namespaces[0]


def steps_of(namespace: str, changes: Sequence[Change | Load]) -> Steps:
    """Those changes of one namespace. Raises: Unsupported: they are too many, or of several namespaces."""
    return Steps((namespace,), _checked([(namespace, change) for change in changes]))


def steps_of_several(changes: Mapping[str, Sequence[Change | Load]]) -> Steps:
    """Those changes, by namespace. Raises: Unsupported: they are too many, or of namespaces in several slots."""
    namespaces = list(changes)
    if len(set(map(slot_of, namespaces))) > 1:
        supported(None, "redis", "transactions over several namespaces", ONE_NAMESPACE)
    every = [(namespace, change) for namespace in namespaces for change in changes[namespace]]
    return Steps(namespaces, _checked(every), [len(changes[namespace]) for namespace in namespaces])


def _checked(changes: Sequence[tuple[str, Change | Load]]) -> list[bytes]:
    if len(changes) > MAX_RECORDS:
        raise too_many(len(changes))
    steps: list[bytes] = []
    for namespace, change in changes:
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


def _conflict(name: str, namespace: str, what: str) -> Conflict:
    if what == "waiting":
        return Conflict(
            f"{label(name, namespace)} is being edited by another client, which waits for this one; nothing was "
            "written, run it again",
            name=name,
            namespace=namespace,
        )
    text = {"there": "is there", "deleted": "was deleted"}.get(what, "was changed")
    return Conflict(f"{label(name, namespace)} {text} meanwhile; read it again", name=name, namespace=namespace)
