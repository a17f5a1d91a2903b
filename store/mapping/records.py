"""Records beside their values: writing with options, metadata, names in order."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

from store.codecs import CodecChoice
from store.errors import Conflict, label
from store.opened.arguments import check_name, check_ttl, sought_name
from store.opened.handle import Handle, record_of
from store.system.file_status import unreachable

if TYPE_CHECKING:
    from store.rows.record import Record

V = TypeVar("V")

PAGE_NAMES = 500


class Records(Handle[V]):
    """The part of `Store` that knows records, not only values."""

    def put(
        self,
        name: str,
        value: V,
        *,
        ttl: float | None = None,
        codec: CodecChoice | None = None,
        protocol: int | None = None,
        if_revision: Record | int | None = None,
    ) -> Record:
        """Stores a value with options of its own; returns the record that it became.

        Args:
            ttl: seconds to live; None is the store's.
            codec, protocol: for this record; None is the store's.
            if_revision: write only if the record still is this one; 0: only if there is none.

        Raises:
            Conflict: the record is another one by now. NotSerializable: the value cannot be encoded.
        """
        name = check_name(name)
        ttl = self._ttl if ttl is None else check_ttl(ttl)
        row = self._pack(name, value, ttl, codec, protocol)
        try:
            with self._backend.transaction() as transaction:
                if if_revision is not None:
                    self._check_revision(name, if_revision, row.modified)
                self._store(row)
                header = self._backend.header(self._namespace, name, -math.inf)  # a tiny ttl may be over already
                if self._writeback is not None:
                    self._writeback.learn(value, row, transaction)
        except BaseException:
            self._pipeline.discard(row)
            raise
        assert header is not None
        return record_of(header)

    def get_many(self, names: Iterable[str]) -> dict[str, V]:
        """The values of those names that exist, in the order given, as of one moment."""
        wanted = [name for name in dict.fromkeys(map(sought_name, names)) if name is not None]
        cached = self._cache.values(wanted, self._clock())
        if cached is not None:
            return cached
        rows = {row.name: row for row in self._backend.find_many(self._namespace, wanted, self._clock())}
        return dict(self._decoded(rows[name] for name in wanted if name in rows))

    def record(self, name: str) -> Record:
        """What is known of a record, without decoding it. Raises: KeyError."""
        wanted = sought_name(name)
        header = None if wanted is None else self._backend.header(self._namespace, wanted, self._clock())
        if header is None:
            self._find(name)  # raises where it cannot be looked up, or may not have expired
            raise KeyError(name)
        return record_of(header)

    def records(self, prefix: str = "") -> Iterator[Record]:
        """The metadata of all records whose name begins with `prefix`, in name order, page by page."""
        after: str | None = None
        while names := self.names(prefix, after=after, limit=PAGE_NAMES):
            for header in self._backend.headers(self._namespace, names, self._clock()):
                yield record_of(header)
            after = names[-1]

    def names(
        self,
        prefix: str = "",
        after: str | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> list[str]:
        """Names that begin with `prefix`, in the order of their code points, by the index.

        Args:
            after: go on after this name (with `reverse`, before it); it need not exist.
            limit: at most so many; None is all.

        To page: `page = s.names(limit=100)`, then `s.names(after=page[-1], limit=100)`.
        """
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int)):
            raise TypeError(f"limit is a number of names, or None for all, not {limit!r}")
        if limit is not None and not 0 <= limit < 2**63:
            raise ValueError(f"limit is a number of names from 0 up, or None for all, not {limit!r}")
        after = None if after is None else check_name(after)
        return self._backend.names(
            self._namespace, check_name(prefix, "prefix"), after, -1 if limit is None else limit,
            self._clock(), reverse=reverse,
        )  # fmt: skip

    def _check_revision(self, name: str, wanted: Record | int, now: float) -> None:
        try:
            from store.rows.record import Record
        except OSError as exc:
            raise unreachable(self.location, exc) from exc

        found = self._backend.identity(self._namespace, name, now)
        if isinstance(wanted, Record):
            fits = found is not None and wanted.is_same_as(found)
        elif wanted == 0 and not isinstance(wanted, bool):
            fits = found is None
        else:
            raise TypeError(f"if_revision is a Record, or 0 for a record that must not exist, not {wanted!r}")
        if not fits:
            now_is = "there is none" if found is None else f"it is at revision {found.revision}"
            raise Conflict(
                f"{label(name, self._namespace)} is not the one that was read ({now_is}): read it again and retry",
                name=name,
                namespace=self._namespace,
            )
