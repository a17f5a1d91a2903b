"""`rekey`: seals every record with the newest key, so that an older one can be thrown away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from store.care.inspect import verdict_of
from store.engines.contract import every_row
from store.errors import Untrusted
from store.opened.namespace import Namespace
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


def rekey(ns: Namespace, progress: Callable[[int, int], None] | None = None) -> Rekeying:
    """See `Store.rekey`."""
    ns.check_open()
    work = _Rekey(ns)
    rows = every_row(ns.engine)
    done, total = 0, ns.care.row_count() if progress is not None else 0
    while batch := list(islice(rows, BATCH)):
        work.reseal(batch)
        done += len(batch)
        if progress is not None:
            progress(done, max(done, total))
    return work.finished()


class _Rekey:
    """One run over a store."""

    def __init__(self, ns: Namespace) -> None:
        self._ns = ns
        self._done = Rekeying(self._sealing_key().id.hex())

    def reseal(self, rows: list[Row]) -> None:
        """Seals anew the rows that an older key of ours sealed, all or none of them."""
        old = list(self._older(rows))
        if not old:
            return
        with self._ns.transaction():
            self._ns.engine.add_sealer(self._sealing_key().id)
            for row in old:
                self._reseal(row)

    def finished(self) -> Rekeying:
        """The result; keys that no record needs any more are removed from the list in the file.

        A program may still seal with such a key. Then opening the file gives no warning, and reading the record
        without the key fails.
        """
        counts = self._ns.care.count_by_key()
        self._ns.care.forget_sealers_but(set(counts))
        self._done.keys = {"no key" if key_id == UNKEYED else key_id.hex(): count for key_id, count in counts.items()}
        return self._done

    def _older(self, rows: list[Row]) -> Iterator[Row]:
        newest = self._sealing_key().id
        for row in rows:
            verdict, problem = verdict_of(self._ns, row)
            if verdict != "own":
                reason = problem or "it was not sealed with a key of yours"
                self._done.left.append((str(row.namespace), str(row.name), reason))
            elif row.seal[:ID_BYTES] == newest:
                self._done.current += 1
            else:
                yield row

    def _reseal(self, row: Row) -> None:
        """Seals one row anew; checks it again if it was written since it was read, and skips it if it was deleted."""
        if self._ns.care.reseal(self._ns.values.reseal(row), row.seal):
            self._done.resealed += 1
            return
        now = self._ns.engine.get(row.namespace, (row.name,)).get(row.name)
        if now is not None:
            for again in self._older([now]):
                self._reseal(again)

    def _sealing_key(self) -> Key:
        """Raises: Untrusted: there is none."""
        ring = self._ns.values.sealer.keyring
        key = ring.sealing_key()
        if key is None:
            raise Untrusted(
                f"{self._ns.location} cannot be sealed anew: {ring.problem or f'no key in {ring.where()}'}. "
                "Name a key file in STORE_KEY_FILE, or pass key="
            )
        return key
