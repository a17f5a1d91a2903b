"""Reading a backup, an SQLite file, for engines on a server that it is restored to."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import NamedTuple, Protocol

from store.engines.contract import Engine, every_row
from store.engines.registry import engines, is_in_transaction
from store.errors import Corrupt, RecordError, StorageError, StoreError, StoreNotFound
from store.rows import spilled
from store.rows.row import Row
from store.rows.spilled import Part

BATCH_BYTES = 16 * 1024 * 1024  # of the bodies that are written at once
BATCH_ROWS = 200

Check = Callable[[Row], bool]
Progress = Callable[[int, int], object]


class Restored(NamedTuple):
    """The contract `Copy`."""

    records: int
    database_bytes: int
    parts: dict[str, Part]

    @property
    def file_bytes(self) -> int:
        return sum(part.bytes for part in self.parts.values())


class Target(Protocol):
    """The store that a backup is restored to."""

    @property
    def id(self) -> bytes: ...

    @property
    def location(self) -> str: ...


@contextmanager
def checked_backup(
    backup: str, timeout: float, check_of: Callable[[bytes], Check]
) -> Iterator[tuple[Engine, Restored]]:
    """The engine of a backup, and what is in it; `check_of` gives a check of its rows for its id.

    Raises:
        StoreError: inside a transaction. StoreNotFound. RecordError: some of it is damaged.
    """
    if is_in_transaction():
        raise StoreError("nothing can be restored inside a transaction; leave the block first")
    try:
        engine: Engine = engines.load("sqlite")(backup, mode="r", timeout=timeout, durability="normal")
    except StoreNotFound as exc:
        raise StoreNotFound(f"there is no backup at {backup}", errno=errno.ENOENT, path=backup) from exc
    with closing(engine):
        yield engine, _checked(engine, check_of(engine.id))


def _checked(source: Engine, check: Check) -> Restored:
    records = size = 0
    parts: dict[str, Part] = {}
    for row in every_row(source):
        try:
            check(row)
            for part in parts_of(source, row):
                assert source.blobs is not None
                problem = source.blobs.problem(part, content=True)
                if problem is not None:
                    raise Corrupt(problem, file=part.file)
                parts[part.file] = part
        except RecordError as exc:
            raise exc.about(row.name, row.namespace) from None
        records, size = records + 1, size + len(row.body)
    return Restored(records, size, parts)


def parts_of(source: Engine, row: Row) -> list[Part]:
    """The large parts of a row of the backup."""
    if row.spill is None:
        return []
    return spilled.parts_of(row.spill, spilled.prefix_of(source.id, row.namespace, row.name))


def require_same_store(store_id: bytes, target: Target, elsewhere: str) -> None:
    """Raises: StorageError: the target has not that id. `elsewhere` says what else the program may choose."""
    if target.id != store_id:
        raise StorageError(
            f"{target.location} is another store, or one that a backup of another was restored to, and was not "
            f"touched; restore to {elsewhere} that has no store",
            path=target.location,
        )


def batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """The rows in lists that are written at once."""
    batch: list[Row] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += len(row.body)
        if len(batch) >= BATCH_ROWS or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class Report:
    """Tells the program how many bytes are done."""

    def __init__(self, tell: Progress | None, total: int) -> None:
        self._tell, self._total, self._done = tell, total, 0
        self.add(0)

    def add(self, size: int) -> None:
        """So many bytes more are done."""
        self._done += size
        if self._tell is not None:
            self._tell(self._done, self._total)
