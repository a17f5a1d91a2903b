"""Writing rows of one store into another as they are, many in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

from store.care.comparing import difference, is_inlined
from store.care.inspect import verdict_of
from store.care.raw import SEAL_BYTES, transferred
from store.engines.capabilities import Transaction
from store.engines.contract import Delete, Fields, Order, in_pages
from store.errors import Conflict, RecordError, StorageError, label
from store.opened.namespace import Namespace
from store.rows.row import Row
from store.rows.spilled import count_of
from store.trust.keys.key import ID_BYTES

BATCH = 200  # records that are written in one transaction
BATCH_BYTES = 16 * 1024 * 1024  # a batch ends with the row that passes this
ATTEMPTS = 5  # at a batch that collides with other writers of a server

Key = tuple[str, str]
"""Namespace and name."""


class Copying:
    """Writes rows of the store `of` into `to`, and counts them. Killed at any point, it can be done again.

    `mirrors`: a record that has expired in the source is deleted in the target.
    """

    def __init__(self, of: Namespace, to: Namespace, *, mirrors: bool) -> None:
        self.of, self.to = of, to
        self.records = self.unchanged = self.expired = self.deleted = 0
        self.damaged: dict[Key, None] = {}
        """Records of the source whose columns hold something else; they were left out."""
        self._mirrors = mirrors

    def write(self, rows: Sequence[Row]) -> None:
        """Write those rows that the target does not have in this very state, in this order and all or none.

        A target whose transactions have one namespace each gets those of each namespace at once.
        """
        alive, expired = self.divided(rows)
        for some, gone in self._together(alive, expired if self._mirrors else []):
            self._write_again(some, gone)
        self.expired += len(expired)

    def _together(self, alive: list[Row], gone: list[Key]) -> Iterator[tuple[list[Row], list[Key]]]:
        if not self.to.is_optimistic:
            yield alive, gone
            return
        for space in dict.fromkeys([*(row.namespace for row in alive), *(key[0] for key in gone)]):
            yield [row for row in alive if row.namespace == space], [key for key in gone if key[0] == space]

    def _write_again(self, alive: list[Row], gone: list[Key]) -> None:
        """Write them, again where other writers came first."""
        left = 0 if self.to.in_transaction() else ATTEMPTS - 1
        while True:
            try:
                self._write(alive, gone)
                return
            except Conflict:  # nothing was written
                if not left:
                    raise
                left -= 1
            except (StorageError, ValueError) as exc:
                _blame_nul(alive, exc)
                raise

    def _write(self, alive: list[Row], gone: list[Key]) -> None:
        there = self.there(alive)
        new = [row for row in alive if self._differs(row, there.get((row.namespace, row.name)))]
        if new or gone:
            others = [(row.namespace, row.name) for row in new if _is_another(row, there)]
            with self._transaction() as transaction:
                self._delete(others, transaction)
                loaded = self._load(new, transaction)
                deleted = self._delete(gone, transaction)
            self.records += loaded
            self.deleted += deleted
        self.unchanged += len(alive) - len(new)

    def divided(self, rows: Sequence[Row]) -> tuple[list[Row], list[Key]]:
        """Those that are to be copied, and the names of those that have expired; damaged ones are noted."""
        found, expired = [], []
        for row in rows:
            if not row.has_column_types():
                self.damaged[row.namespace, row.name] = None
            elif _is_alive(self.of, row):
                found.append(row)
            else:
                expired.append((row.namespace, row.name))
        return found, expired

    def delete(self, keys: Sequence[Key]) -> None:
        """Delete those records in the target, as far as they are there."""
        for start in range(0, len(keys), BATCH):
            for _, some in self._together([], list(keys[start : start + BATCH])):
                with self._transaction() as transaction:
                    self.deleted += self._delete(some, transaction)

    def delete_others(self, namespace: str | None) -> None:
        """Delete the records of the target that the source does not have, in one namespace or in all."""
        spaces = self.to.engine.namespaces(float("-inf")) if namespace is None else [namespace]
        for space in spaces:
            names = (item.name for item in in_pages(self.to.engine, space, Order.NAME, fields=Fields.LISTED))
            for part in parts_of(names, BATCH):
                there = self.of.engine.get(space, part, Fields.LISTED)
                self.delete([(space, name) for name in part if name not in there])

    def there(self, rows: Sequence[Row]) -> dict[Key, Row]:
        """The records of the target of the same names."""
        names: dict[str, list[str]] = {}
        for row in rows:
            names.setdefault(row.namespace, []).append(row.name)
        found = (self.to.engine.get(space, wanted).values() for space, wanted in names.items())
        return {(row.namespace, row.name): row for some in found for row in some}

    def _differs(self, row: Row, there: Row | None) -> bool:
        return difference(self.of, row, self.to, there, content=False) is not None

    def _load(self, rows: Sequence[Row], transaction: Transaction | None) -> int:
        """Write rows over existing ones, which keep their place. Their files come first, and go again if it fails."""
        made: list[Row] = []
        try:
            for row in rows:
                if (new := self._made(row)) is not None:
                    made.append(new)
            for key_id in {row.seal[:ID_BYTES] for row in made if len(row.seal) == SEAL_BYTES}:
                self.to.engine.add_sealer(key_id)
            if made:
                self.to.engine.load(made)
        except BaseException:
            for row in made:
                self.to.values.discard(row)
            raise
        self._forget([(row.namespace, row.name) for row in rows], transaction)
        return len(made)

    def _made(self, row: Row) -> Row | None:
        """The row for the target, its files written; None: it was deleted meanwhile, and perhaps put again."""
        if row.spill is None:
            return transferred(self.of, row, self.to)[0]
        try:
            made = self._made_large(row)
        except RecordError:
            now = self._found(row)
            if now is not None and now.spill == row.spill:
                raise
            return None if now is None or self._has_moved(row, now) else self._made(now)
        now = self._found(row)
        if now is None or self._has_moved(row, now):
            self.to.values.discard(made)
            return None
        return made

    def _has_moved(self, row: Row, now: Row) -> bool:
        """Whether it was deleted and put again, behind others: the next look copies it, at its new place."""
        return self._mirrors and now.id != row.id

    def _made_large(self, row: Row) -> Row:
        return _inlined(self.of, self.to, row) if is_inlined(self.to, row) else transferred(self.of, row, self.to)[0]

    def _found(self, row: Row) -> Row | None:
        found: Row | None = self.of.engine.get(row.namespace, (row.name,)).get(row.name)
        return found

    def _delete(self, keys: Sequence[Key], transaction: Transaction | None) -> int:
        names: dict[str, list[str]] = {}
        for space, name in keys:
            names.setdefault(space, []).append(name)
        self._forget(keys, transaction)
        return sum(
            self.to.engine.apply(space, [Delete(name) for name in sorted(wanted)]).deleted
            for space, wanted in names.items()
        )

    def _forget(self, keys: Iterable[Key], transaction: Transaction | None) -> None:
        """The live values of `writeback=True` are not those of the records any more."""
        if self.to.writeback is not None and transaction is not None:
            for space, name in keys:
                if space == self.to.name:
                    self.to.writeback.forget(name, transaction)

    def _transaction(self) -> AbstractContextManager[Transaction | None]:
        """One of the target, where its engine has them: else each step can be repeated by itself."""
        return nullcontext() if self.to.engine.transactions is None else self.to.transaction(names=())


def batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """The rows in lists of up to BATCH rows and about BATCH_BYTES."""
    batch: list[Row] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += len(row.body) if isinstance(row.body, bytes) else 0
        if len(batch) == BATCH or size > BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def parts_of(names: Iterable[str], size: int) -> Iterator[list[str]]:
    """The names in lists of up to `size`."""
    part: list[str] = []
    for name in names:
        part.append(name)
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part


def _is_alive(of: Namespace, row: Row) -> bool:
    try:
        return of.is_alive(row, of.clock())
    except RecordError:  # it only looks expired, perhaps
        return True


def _is_another(row: Row, there: dict[Key, Row]) -> bool:
    """Whether the target has an earlier record of that name, which was deleted in the source since.

    The new one comes at the end there, as it did in the source. With a clock that stands still the revision tells.
    """
    found = there.get((row.namespace, row.name))
    if found is None or found.created != row.created:
        return found is not None
    return found.revision > row.revision and found.modified <= row.modified


def _blame_nul(rows: Sequence[Row], error: Exception) -> None:
    """Raises: StorageError: a row of an old file has a text with a NUL, which the target does not store."""
    for row in rows:
        if any("\0" in text for text in (row.namespace, row.name, row.codec, row.type or "", row.python or "")):
            raise StorageError(
                f"{label(row.name, row.namespace)} has a NUL in its name or metadata, and the target does not store "
                f"that ({error}); write it under another name, or delete it, and copy again"
            ) from error


def _inlined(of: Namespace, to: Namespace, row: Row) -> Row:
    """The row with its large parts in it. A body is moved as it is; a value with buffers beside it is decoded."""
    if verdict_of(of, row)[0] != "own":
        raise StorageError(
            f"{label(row.name, row.namespace)} is large and was sealed by somebody else, so it cannot be copied into "
            f"{to.location}, which keeps values of any size in their rows; copy to a file"
        )
    if not row.body and count_of(row.spill) == 1 and of.values.large is not None:
        return to.values.reseal(row._replace(body=of.values.large.body(row, foreign=False), spill=None))
    value = of.values.unpacked(row)[0]
    codec = of.values.codec_of(row)
    new = to.values.pack(row.namespace, row.name, value, row.modified, row.expires, codec, row.protocol)
    return new._replace(revision=row.revision, created=row.created)
