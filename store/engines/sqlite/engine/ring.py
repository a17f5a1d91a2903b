"""The ring of changes: what the last commits touched, in memory that all processes share.

Each slot of the ring describes one commit as a step from one state of the file to the next. A *state* is the running
checksum and the salts of the write-ahead log, 16 bytes of the header of SQLite's index (`wal_index.STATE`): two
commits never leave the same one. A cache that is good for one state follows the steps to the state of today and drops
what they touched. So a slot is true for ever, wherever it is found, and nothing depends on who wrote it when: one
that does not fit into the chain is ignored, as is one that is torn, overwritten by a later lap, or left by a crash.
The number of a commit only says which slot it gets, since recovery sets numbers back.

The order of a commit, under the writer's lock: `announce` marks its slot as pending, the commit changes the header,
`confirm` fills the slot. It does so only if exactly one commit lies between the two headers: then that is ours. A
commit of another program is in no slot, and breaks the chain.

A pending slot tells a reader to ask the file, and to look again later. If its writer died, that ends with the next
commit, or when the reader loses patience (`ReadCache`).

Pure: it works on any buffer. `ring_file` maps the file.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any
from zlib import crc32

from store.engines.capabilities import Gap
from store.engines.sqlite.engine.wal_index import STATE, counters_of, is_next

SLOTS = 512  # a power of two, since numbers of commits wrap around at 2**32
SLOT_BYTES = 128

_HEAD = struct.Struct("=II")  # checksum of what follows, and how many marks there are
_HEAD_BYTES = _HEAD.size
NAMES = (SLOT_BYTES - _HEAD_BYTES - 32) // 8
"""The most records that a slot describes. A commit that touches more is not described."""
_BODIES = [struct.Struct(f"=16s16s{count}Q") for count in range(NAMES + 1)]  # state before and after, and the marks

# The whole header of the file: one of another layout, version or byte order is not used.
START = 64
HEADER = struct.pack("=24s4I", b"store: ring of changes 1", 1, START, SLOTS, SLOT_BYTES).ljust(START, b"\0")
SIZE = START + SLOTS * SLOT_BYTES

_PENDING = b"\xff" * _HEAD_BYTES  # as heads: the commit comes now
_NOTHING = bytes(_HEAD_BYTES)  # no commit is described


def marker(namespace: str) -> Callable[[str], int]:
    """A function that returns the mark of a record of that namespace, equal in all processes.

    Its upper half stands for the namespace. Two records may have one mark; then a change of one drops both.
    """
    space = space_of(namespace)
    upper = space << 32
    return lambda name: upper | crc32(name.encode("utf-8", "surrogatepass"), space)


def space_of(namespace: str) -> int:
    """The upper half of the marks of a namespace."""
    encoded = namespace.encode("utf-8", "surrogatepass")
    return crc32(b"%d:" % len(encoded) + encoded)


class Ring:
    """The ring in a buffer of `SIZE` bytes, which another process may be writing to."""

    def __init__(self, buffer: Any) -> None:
        self._buffer = buffer
        self._markers: dict[str, Callable[[str], int]] = {}

    def announce(self, before: bytes) -> None:
        """Mark the slot of the next commit as pending; `before` is the header now."""
        start = START + (counters_of(before)[0] + 1) % SLOTS * SLOT_BYTES
        self._buffer[start : start + _HEAD_BYTES] = _PENDING

    def confirm(self, before: bytes, after: bytes, touched: Sequence[tuple[str, str]] | None) -> bool:
        """Describe the commit that was announced; returns whether it is known to be the only one since `before`.

        `touched`: namespace and name of all records that it may have changed; None: any of them.
        """
        number, salts = counters_of(before)
        start = START + (number + 1) % SLOTS * SLOT_BYTES
        is_usual = salts != 0 and counters_of(after) == (number + 1, salts)
        is_alone = touched is not None and (is_usual or is_next(before, after))
        if touched is None or not is_alone or len(touched) > NAMES or not salts:  # 0: every database without a log
            self._buffer[start : start + _HEAD_BYTES] = _NOTHING
            return is_alone
        marks = []
        for namespace, name in touched:
            marks.append((self._markers.get(namespace) or self._marker(namespace))(name))
        body = _BODIES[len(marks)].pack(before[STATE], after[STATE], *marks)
        self._buffer[start : start + _HEAD_BYTES + len(body)] = _HEAD.pack(crc32(body), len(marks)) + body
        return True

    def between(self, before: bytes, after: bytes) -> list[int] | Gap:
        """The marks of all records that may have changed from one header to another."""
        first, _ = counters_of(before)
        steps = (counters_of(after)[0] - first) % 2**32
        if not 0 < steps <= SLOTS:
            return Gap.LOST
        state = before[STATE]
        marks: list[int] = []
        for step in range(1, steps + 1):
            found = self._step(first + step, state)
            if found is Gap.NOT_YET and step < steps:  # its writer died, or another program came in between
                return Gap.LOST
            if isinstance(found, Gap):
                return found
            state = found[0]
            marks += found[1]
        return marks if state == after[STATE] else Gap.LOST

    def _step(self, number: int, before: bytes) -> tuple[bytes, list[int]] | Gap:
        """The state after that commit, which followed on `before`, and the marks of what it touched."""
        start = START + number % SLOTS * SLOT_BYTES
        first = start + _HEAD_BYTES
        head = self._buffer[start:first]
        if head == _PENDING:
            return Gap.NOT_YET
        checksum, count = _HEAD.unpack(head)
        if head == _NOTHING or count > NAMES:
            return Gap.LOST
        form = _BODIES[count]
        body = self._buffer[first : first + form.size]
        if crc32(body) != checksum:  # it is being written
            return Gap.NOT_YET
        found, after, *marks = form.unpack(body)
        return (after, marks) if found == before else Gap.LOST

    def _marker(self, namespace: str) -> Callable[[str], int]:
        if len(self._markers) > SLOTS:  # a program may use any number of namespaces
            self._markers.clear()
        return self._markers.setdefault(namespace, marker(namespace))
