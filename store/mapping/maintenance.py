"""Care of what is stored: expiry, namespaces, and the ways in to figures, inspection, checks and compaction."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from store.errors import RecordError, Untrusted, label
from store.opened.arguments import check_ttl
from store.opened.handle import Handle, record_of
from store.opened.purging import Page
from store.rows.row import Row
from store.system.file_status import reaching
from store.trust.seal import Verdict

if TYPE_CHECKING:
    from store.care.backup import Backup
    from store.care.compact import Compaction
    from store.care.inspect import Inspection
    from store.care.rekey import Rekeying
    from store.care.stats import Stats
    from store.care.verify import Verification
    from store.rows.record import Record

V = TypeVar("V")

PAGE = 256  # expired records that `purge` deletes in one transaction


class Maintenance(Handle[V]):
    """The part of `Store` that looks after what is there."""

    def touch(self, name: str, ttl: float | None) -> Record:
        """Gives a record a new lifetime, in seconds from now (None: for ever); returns it.

        The value is not decoded: its bytes are checked and sealed anew with the new expiry.

        Raises:
            KeyError: no such record. Untrusted: it was not sealed by a key of ours, and nothing else is.
        """
        ttl = check_ttl(ttl)
        with self._backend.transaction() as transaction:
            row = self._find(name)
            if row is None:
                raise KeyError(name)
            sealer = self._pipeline.sealer
            try:
                verdict = sealer.check(row)
            except RecordError as exc:
                raise exc.about(name, self._namespace) from None
            if verdict is not Verdict.OWN:
                raise Untrusted(
                    f"{label(name, self._namespace)} was not sealed with a key of yours, so its lifetime is not "
                    "yours to change; assign the value again to make the record yours",
                    name=name,
                    namespace=self._namespace,
                )
            now = self._clock()
            expires = None if ttl is None else now + ttl
            self._store(self._pipeline.reseal(row._replace(expires=expires, modified=now)))
            if self._writeback is not None:
                self._writeback.keep_until(row.name, expires, transaction)
            header = self._backend.header(self._namespace, row.name, -math.inf)  # a tiny ttl may be over already
        assert header is not None
        return record_of(header)

    def purge(self) -> int:
        """Deletes the expired records of this namespace that a key of yours sealed; how many those were.

        Anybody who can write the file can make a record of yours look expired: one whose seal does not hold stays,
        and `verify` names it. Those of other keys stay as well; no one here can tell when they were to expire.
        """
        now, deleted = self._clock(), 0
        end: tuple[float, int] | None = None
        while True:
            page = self._purge_page(self._namespace, end, PAGE, None, now)
            if page.end is None:
                return deleted
            deleted += page.deleted
            end = page.end

    def _purge_page(
        self,
        namespace: str,
        after: tuple[float, int] | None,
        limit: int,
        timeout: float | None,
        now: float | None = None,
    ) -> Page:
        """One transaction, so that other writers get their turn between two of them."""
        with self._backend.transaction(timeout):
            rows = self._backend.expired(namespace, after, self._clock() if now is None else now, limit)
            own = [row for row in rows if self._is_own(row)]
            if own:
                self._backend.delete_rows(own)
        last = rows[-1] if rows else None
        return Page(len(rows), len(own), None if last is None else (last.expires or 0.0, last.id or 0))

    def _purge_some(self) -> None:
        """See `Handle._count_writes`."""
        self._purging.run(self)

    def _is_own(self, row: Row) -> bool:
        try:
            return self._pipeline.sealer.check(row) is Verdict.OWN
        except RecordError:
            return False

    def namespaces(self) -> list[str]:
        """The namespaces of the file that have records, in order."""
        return self._backend.namespaces(self._clock())

    # Each of these is in a module of its own, which is loaded when it is called: most programs never do. It may then
    # be that there is no descriptor left to load it by.

    def stats(self) -> Stats:
        """Counts and sizes of this namespace, and of the file."""
        with reaching(self.location):
            from store.care.stats import stats

        return stats(self)

    def inspect(self, name: str) -> Inspection:
        """What is in a record, nothing of it executed.

        Raises:
            KeyError: no such record. Corrupt: the columns of the file hold something else than a record.
        """
        with reaching(self.location):
            from store.care.inspect import inspect

        return inspect(self, name)

    def admit(self, inspection: Inspection) -> Record:
        """Seals exactly the bytes that were inspected with a key of ours: from now on they are decoded in full.

        Raises:
            Conflict: the record is another one by now: inspect it again. Tampered, Corrupt: bytes that were
                damaged or altered are never sealed. Untrusted: there is no key to seal with.
        """
        with reaching(self.location):
            from store.care.inspect import admit

        return admit(self, inspection)

    def verify(self, *, quick: bool = False) -> Verification:
        """Checks the file, and the seal of every record in all namespaces, expired ones too; decodes none.

        In full: SQLite's integrity check, which compares the indexes with the table; the checksums of its log; and
        the files of large values, read and compared with theirs. `quick`: SQLite's quick check, every seal, and
        whether those files are there and have their size. What a quick one does not find is an index that leads to
        the wrong record, and a file that was altered and kept its size; reading those raises as well.

        Page by page: in memory are one page, and the names of what is not ours or not sound.
        """
        with reaching(self.location):
            from store.care.verify import verify

        return verify(self, quick=quick)

    def rekey(self, *, progress: Callable[[int, int], None] | None = None) -> Rekeying:
        """Seals every record of the file with the newest key, expired ones too; then no record needs an older key.

        A retired key that somebody else has got to know verifies what they write for as long as you hold it: make
        a new key (`store key new`), retire the old one, rekey each file, and delete its line from the key file.

        In transactions of at most 200 records: killed at any moment, each record is sealed by its old key or by the
        new one, and rerunning resumes. Only seals change: revision, times, expiry, order and files of large values
        stay, and `watch` tells nothing. Records that no key of yours sealed, and those whose seal does not hold, are
        left as they are and named. `progress` is called with how many records are done and how many there are.

        Raises:
            Untrusted: there is no key to seal with. ReadOnly, LockTimeout, StorageError: as any write.
        """
        from store.care.rekey import rekey

        return rekey(self, progress)

    def compact(self, *, progress: Callable[[int, int], None] | None = None) -> Compaction:
        """Removes files that no record needs any more, and gives free pages of the database back to the file system.

        In steps of 1000 pages or 500 files: readers go on meanwhile, and other writers have their turn between two.
        Files of a write in progress are left alone. `progress` is called after each step, with how much is done and
        how much there is, in pages and files; as others go on, that may change.

        Raises:
            StoreError: this thread is in a transaction. ReadOnly, LockTimeout, StorageError: as any write; what was
                given back by then is.
        """
        with reaching(self.location):
            from store.care.compact import compact

        return compact(self, progress)

    def backup(self, path: str | os.PathLike[str], *, progress: Callable[[int, int], object] | None = None) -> Backup:
        """A copy of the whole file at `path`, all namespaces and large values, as of one moment; it is a store too.

        Others read and write meanwhile. A backup of this store that is there already is replaced once the new one is
        whole and on the disk; whatever ends it before that leaves the old one as it was. Large values are beside it,
        in `<path>-spill`: the two belong together. `progress` is called with bytes that are done and bytes of all,
        now and then; an exception of it ends the backup. A child that is forked meanwhile cannot use the store.

        Raises:
            NotAStore, StorageError: at `path` is something else, another store, or no place; it is not touched.
            RecordError: this record is damaged; delete it, or restore it, before it is in every backup.
            StoreError: this thread is in a transaction, or `path` is this store, or in use as one. ValueError: it
            is no path of a file. LockTimeout, ReadOnly.
        """
        with reaching(self.location):
            from store.care.backup import backup

        return backup(self, path, progress)
