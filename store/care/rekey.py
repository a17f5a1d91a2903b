"""`rekey`: every record sealed with the newest key, so that an older one can be thrown away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from store.care.inspect import verdict_of
from store.errors import Untrusted
from store.opened.handle import Handle
from store.rows.row import Row
from store.trust.keys.key import ID_BYTES, UNKEYED, Key

BATCH = 200  # records that are sealed anew as one transaction, while other writers wait


@dataclass(slots=True)
class Rekeying:
    """What `rekey` did in the whole file.

    `resealed` counts the records that are sealed with another key than before, `current` those that had the newest
    one already. `left` are (namespace, name, reason): they stay as they were, since no key of ours sealed them, or
    their seal does not hold. `keys` has the id of each key that still seals records, and how many.
    """

    key: str
    """The id of the key that seals now."""
    resealed: int = 0
    current: int = 0
    left: list[tuple[str, str, str]] = field(default_factory=list)
    keys: dict[str, int] = field(default_factory=dict)


def rekey(store: Handle[Any], progress: Callable[[int, int], None] | None = None) -> Rekeying:
    """See `Store.rekey`."""
    store._check_open()
    work = _Rekey(store)
    rows = store._backend.every_row()
    done, total = 0, store._backend.row_count() if progress is not None else 0
    while batch := list(islice(rows, BATCH)):
        work.reseal(batch)
        done += len(batch)
        if progress is not None:
            progress(done, max(done, total))
    return work.finished()


class _Rekey:
    """One run over a store."""

    def __init__(self, store: Handle[Any]) -> None:
        self._store = store
        self._done = Rekeying(self._sealing_key().id.hex())

    def reseal(self, rows: list[Row]) -> None:
        """Seal those anew that an older key of ours sealed, all or none of them."""
        old = list(self._older(rows))
        if not old:
            return
        backend = self._store._backend
        with backend.transaction():
            backend.add_sealer(self._sealing_key().id)
            for row in old:
                self._reseal(row)

    def finished(self) -> Rekeying:
        """What was done; keys that no record needs any more are no longer listed in the file.

        A program that still seals with such a key is not kept from it. Then the file does not say so when it is
        opened, and reading such a record without the key does.
        """
        counts = self._store._backend.count_by_key()
        self._store._backend.forget_sealers_but(set(counts))
        self._done.keys = {"no key" if key_id == UNKEYED else key_id.hex(): count for key_id, count in counts.items()}
        return self._done

    def _older(self, rows: list[Row]) -> Iterator[Row]:
        newest = self._sealing_key().id
        for row in rows:
            verdict, problem = verdict_of(self._store, row)
            if verdict != "own":
                reason = problem or "it was not sealed with a key of yours"
                self._done.left.append((str(row.namespace), str(row.name), reason))
            elif row.seal[:ID_BYTES] == newest:
                self._done.current += 1
            else:
                yield row

    def _reseal(self, row: Row) -> None:
        """A record that was written since it was read is looked at again; one that was deleted is nobody's."""
        backend, before = self._store._backend, row.seal
        if backend.reseal(self._store._pipeline.reseal(row), before):
            self._done.resealed += 1
            return
        now = backend.row(row.id or 0)
        if now is not None:
            for again in self._older([now]):
                self._reseal(again)

    def _sealing_key(self) -> Key:
        """Raises: Untrusted: there is none."""
        ring = self._store._pipeline.sealer.keyring
        key = ring.sealing_key()
        if key is None:
            raise Untrusted(
                f"{self._store.location} cannot be sealed anew: {ring.problem or f'no key in {ring.where()}'}. "
                "Name a key file in STORE_KEY_FILE, or pass key="
            )
        return key
