"""Notes of the uses of records in a table on the server: the contract `Accesses`.

The table is a string of fixed size in the namespace's slot, with the words of `store.engines.access_table`: 16 to 32
bytes for each record that is expected. A thousand notes are brought by one script; the figures are counters in the
namespace's `meta`. `clear` deletes the table, and leaves the figures.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from store.engines.access_table import TICKS, hash_of, seed_of, slots_for, use_of
from store.engines.capabilities import Figures, Use
from store.engines.gathering import PATIENCE_SECONDS, Gathering, nothing
from store.engines.redis.causes import DRIVER_ERRORS
from store.engines.redis.errors import damaged
from store.engines.redis.handle import Handle
from store.engines.redis.scripts.eviction import NOTE, USES
from store.engines.redis.scripts.script import MAX_RECORDS, Script
from store.errors import StoreError
from store.system.clock import steady_clock

_NOTE = struct.Struct("<IdH")
_PAIR = struct.Struct("<QQ")
_FIGURES = b"hits", b"misses", b"evictions"


class RedisAccesses:
    """Safe across threads and after a fork."""

    def __init__(
        self, handle: Handle, namespace: str, records: int, now: Callable[[], float], *, frequencies: bool
    ) -> None:
        self._server = handle.server
        self._keys = handle.server.keys(namespace)
        self._seed = seed_of(namespace)
        self._slots = slots_for(records)
        self._now = now
        self._frequencies = frequencies
        self.gathering = Gathering(self._carry, now, is_writable=not handle.read_only)
        self.note: Callable[[str], None] = nothing if handle.read_only else self.gathering.note
        self.count, self.flush = self.gathering.count, self.gathering.flush

    def uses(self, names: Sequence[str]) -> list[Use | None]:
        self.flush()
        now, found = self._now(), []
        for start in range(0, len(names), MAX_RECORDS):
            marks = [hash_of(self._seed, name) for name in names[start : start + MAX_RECORDS]]
            packed = struct.pack(f"<{len(marks)}I", *marks)
            answer = self._run(PATIENCE_SECONDS, USES, (self._server.id, packed)) or bytes(16 * len(marks))
            found += [use_of(pair, mark, now) for pair, mark in zip(_PAIR.iter_unpack(answer), marks, strict=True)]
        return found

    def figures(self) -> Figures:
        """Those of the namespace. Raises: StorageError: another program changed one."""
        self.flush()
        stored = self._command(b"HMGET", self._keys.meta, *_FIGURES) or (None, None, None)
        for field, there in zip(_FIGURES, stored, strict=True):
            if there is not None and not there.isdigit():
                raise damaged(field.decode(), self._keys.meta, self._server.shown)
        return self.gathering.added_to([int(number or 0) for number in stored])

    def reset(self) -> None:
        if self.gathering.is_writable:
            self.gathering.figures = [0, 0, 0]
            self._command(b"HDEL", self._keys.meta, *_FIGURES)

    def close(self) -> None:
        """Bring the gathered notes to the server; afterwards nothing is noted."""
        self.note = nothing
        self.gathering.close()

    def _carry(
        self, seconds: float, last: Mapping[str, float], uses: Mapping[str, int], figures: Sequence[int]
    ) -> bool:
        notes = b"".join(
            _NOTE.pack(hash_of(self._seed, name), int(last[name] * TICKS), min(number, 0xFFFF))
            for name, number in uses.items()
        )
        return bool(
            self._run(
                seconds,
                NOTE,
                (self._server.id, self._slots, int(self._frequencies), *figures, random.getrandbits(31), notes),
            )
        )

    def _run(self, seconds: float, script: Script, arguments: Sequence[Any]) -> Any:
        keys = self._keys.accesses, self._keys.meta
        return self._tried(lambda: self._server.client.run(script, keys, arguments, steady_clock() + seconds))

    def _command(self, *command: Any) -> Any:
        until = steady_clock() + PATIENCE_SECONDS
        return self._tried(lambda: self._server.client.command(self._keys.meta, until, *command))

    def _tried(self, ask: Callable[[], Any]) -> Any:
        """The answer; None if there is none now: a user without the right to write, no memory, no connection."""
        if not self._server.handles:  # a connection that is opened now would stay
            return None
        try:
            return ask()
        except (StoreError, *DRIVER_ERRORS):
            return None
