"""`recover`: copies the sound records of a damaged store to a new one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from store.engines.registry import recoverers
from store.engines.unopened import DamagedStore, Findings, NewStore
from store.errors import Corrupt, NotAStore, RecordError, Unsupported
from store.opened.arguments import locate
from store.rows.row import Row
from store.rows.spilled import parts_of, prefix_of
from store.trust.keys.key import UNKEYED
from store.trust.keys.ring import Keyring, KeySource
from store.trust.seal import Sealer, Verdict

ID_BYTES = 16
TRIED_IDS = 1000  # candidates for the store's id; a crafted file has any number

Progress = Callable[[int, int], None]
"""Called now and then with how much is done and how much there is to do."""


@dataclass(slots=True)
class Recovery:
    """What `recover` found; records are (namespace, name).

    `sealed` and `foreign` count the records that are in the new store: those that a key of ours sealed, and those of
    other keys whose checksum holds. `lost` are (namespace, name, why). `unsure`, which are in the new store, come
    from pages that the tree no longer reaches: they may have been replaced or deleted before the damage. `damage`
    describes damage of the file. `files` and `file_bytes` are those of large values that were copied.
    """

    sealed: int = 0
    foreign: int = 0
    lost: list[tuple[str, str, str]] = field(default_factory=list)
    unsure: list[tuple[str, str]] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)
    files: int = 0
    file_bytes: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing is known to be lost, and nothing is in doubt."""
        return not (self.lost or self.unsure or self.damage)


def recover(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    key: KeySource = None,
    store_id: bytes | None = None,
    progress: Progress | None = None,
) -> Recovery:
    """Copies every record whose seal still holds from a damaged store to a new one, and reports the others.

    The database is read byte by byte: it may be damaged so that SQLite does not open it. It is not changed. Records
    keep their seals, ids, revisions and times; none is decoded. Records of other keys cannot be checked in full; they
    are kept if their checksum holds.

    Args:
        source: the path of the damaged store. No store of this program may have it open.
        target: the path of the new one; there must be nothing.
        key: as that of `Store`.
        store_id: the 16 bytes in the table `identity` of a backup, where those of the damaged file are lost.
        progress: called with how much is done, and how much there is to do.

    Raises:
        StoreNotFound: there is no such file. StorageError: it cannot be read, or the target be written.
        LockTimeout: another program is writing to it. StoreError: this one has it open.
        Corrupt: the id of the store is lost, so that no seal can be checked. NotAStore: there are no records in it.
    """
    (scheme, path), (_, goal) = _located(source), _located(target)
    if scheme not in recoverers:
        raise Unsupported(
            f"{scheme} keeps its store on a server, which repairs its own files, so there is none to recover from: "
            "`store verify` names the damaged records, `store export --raw` writes the others, and `store.restore` "
            "puts a backup in their place",
            engine=scheme,
            feature="recover",
        )
    if store_id is not None and len(store_id) != ID_BYTES:
        raise ValueError(f"a store's id has {ID_BYTES} bytes, not {len(store_id)}")
    damaged: DamagedStore
    keyring = Keyring(key)  # a weak key is refused before anything is opened
    with recoverers.load(scheme)(path, goal) as damaged:
        steps = _Steps(damaged.pages, progress)
        sealer = _sealer(damaged, keyring, store_id)
        found = damaged.salvage(lambda row: _verdict(sealer, row) is not None, steps.page)
        with damaged.rebuilt(sealer.store_id) as new:
            result = _copied(found, sealer, new, steps)
    steps.end()
    return result


def _located(location: str | os.PathLike[str]) -> tuple[str, str]:
    """Scheme and path of a location, as `Store` takes it. Raises: TypeError, ValueError."""
    scheme, path = locate(location)
    if path == ":memory:":
        raise ValueError("what is recovered, and where it goes, is a file; give its path")
    return scheme, path


def _copied(found: Findings, sealer: Sealer, new: NewStore, steps: _Steps) -> Recovery:
    """Fills the new store."""
    result = Recovery(damage=found.damage)
    lost = [(*key, why) for key, why in found.lost.items()]
    for done, row in enumerate(found.rows):
        key, verdict = (row.namespace, row.name), _verdict(sealer, row)
        try:
            parts = [] if row.spill is None else parts_of(row.spill, prefix_of(sealer.store_id, *key))
            if verdict is not Verdict.OWN:
                new.refuse_hollow(parts)
            for part in parts:
                new.add_file(part)
                result.files, result.file_bytes = result.files + 1, result.file_bytes + part.bytes
        except Corrupt as exc:
            lost.append((*key, exc.message))
            continue
        new.add(row)
        if verdict is Verdict.OWN:
            result.sealed += 1
        else:
            result.foreign += 1
        steps.record(done, found.number)
    gone = {(namespace, name) for namespace, name, _ in lost}
    result.lost = sorted(lost)
    result.unsure = sorted(key for key in found.unsure if key not in gone)
    return result


class _Steps:
    """Reports progress in pages, three times all: walking the table, searching its gaps, copying the rows."""

    def __init__(self, pages: int, progress: Progress | None) -> None:
        self._pages, self._progress = pages, progress
        self._done = 0

    def page(self) -> None:
        self._done = min(self._done + 1, 2 * self._pages)
        self._tell(self._done)

    def record(self, done: int, records: int) -> None:
        self._tell(2 * self._pages + self._pages * done // records)

    def end(self) -> None:
        self._tell(3 * self._pages)

    def _tell(self, done: int) -> None:
        if self._progress is not None:
            self._progress(done, 3 * self._pages)


def _verdict(sealer: Sealer, row: Row) -> Verdict | None:
    """The verdict on a row; None if its seal, or for another key its checksum, does not hold."""
    try:
        return sealer.check(row) if row.has_column_types() else None
    except (RecordError, ValueError):
        return None


def _sealer(damaged: DamagedStore, keyring: Keyring, store_id: bytes | None) -> Sealer:
    """The sealer with the given id, or with the one under which most rows of a sample hold.

    Raises: Corrupt: there is none under which any does.
    """
    if store_id is not None:
        return Sealer(keyring, store_id)
    rows = damaged.sample()
    tried: dict[bytes, None] = {}
    found = _best(_noted(islice(damaged.ids(), TRIED_IDS), tried), rows, keyring)
    if found is None:
        found = _best((near for one in islice(tried, 3) for near in _one_byte_off(one)), rows[:3], keyring)
    if found is None and not any(keyring.find(row.seal[: len(UNKEYED)]) for row in rows):
        found = next(iter(tried), None)  # nothing in it is ours to check an id by
    if found is None and not rows:
        raise NotAStore(f"{damaged.path}: nothing in it looks like a record of a store; choose another file")
    if found is None:
        raise Corrupt(
            f"{damaged.path}: the id of the store is lost, and without it no seal can be checked; give that of a "
            "backup (store_id=, --store-id): SELECT hex(id) FROM identity"
        )
    return Sealer(keyring, found)


def _best(ids: Iterable[bytes], rows: list[Row], keyring: Keyring) -> bytes | None:
    """The id under which most rows hold; None if none holds under any."""
    best, most = None, 0
    for one in ids:
        sealer = Sealer(keyring, one)
        holding = sum(_tells(sealer, row) for row in rows)
        if holding > most:
            best, most = one, holding
            if 2 * holding > len(rows):
                break
    return best


def _tells(sealer: Sealer, row: Row) -> bool:
    """Whether a row holds by a seal that includes the store's id; a plain checksum holds under any id."""
    verdict = _verdict(sealer, row)
    return verdict is Verdict.OWN or (verdict is Verdict.FOREIGN and row.seal.startswith(UNKEYED))


def _noted(ids: Iterable[bytes], notes: dict[bytes, None]) -> Iterator[bytes]:
    for one in ids:
        if one not in notes:
            notes[one] = None
            yield one


def _one_byte_off(store_id: bytes) -> Iterator[bytes]:
    """All ids that differ in one byte, since one byte of the id may be damaged."""
    for place in range(ID_BYTES):
        for byte in range(256):
            yield store_id[:place] + bytes((byte,)) + store_id[place + 1 :]
