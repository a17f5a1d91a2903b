"""Notes beside the records of a cache: the tag of a record, and how long its value takes to compute.

Two namespaces beside that of the cache, "cache#notes" and "cache#tags" for "cache". A note has the name of its record
and says which version of the record it belongs to: where the record was assigned since, the note counts no more, so a
write without a tag need not look for one. The second namespace lists the names of each tag, as
"<length of the tag>:<tag><name>". Both expire with the record, and are written in the transaction that writes it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple, TypeVar

from store.engines.contract import Delete, Fields
from store.errors import RecordError
from store.opened import reading
from store.opened.arguments import new_name, sought_name
from store.opened.namespace import Namespace
from store.opened.restarts import restarted
from store.opened.sentinels import MISSING
from store.rows.row import Header, Row, has_expired

T = TypeVar("T")
PAGE = 300  # records of a transaction that deletes by tag: three rows each, and Redis takes 1,000 at once
CODEC = "json"  # of notes, whatever the cache has for its values


class Note(NamedTuple):
    """A note: the version of the record that it belongs to, its tag, the seconds to compute it, and its expiry."""

    version: str
    tag: str | None
    cost: float | None
    expires: float | None


class Notes:
    """The notes of one cache. Safe across threads, processes and forks.

    Methods that say so belong inside `together`, in the transaction that changes the records.
    """

    def __init__(self, records: Namespace) -> None:
        self.records = records
        self.notes = records.within(f"{records.name}#notes")
        self.tags = records.within(f"{records.name}#tags")
        self._in_use = False

    def in_use(self) -> bool:
        """Whether any record of the cache has had a note; without one there is none to delete."""
        if not self._in_use:
            self._in_use = reading.count(self.notes) > 0
        return self._in_use

    def together(self, work: Callable[[], T]) -> T:
        """Calls `work` in one transaction of the records and their notes; again where a server asks for it."""
        return _together(self.records, self, work)

    # -- reading

    def of(self, name: str) -> Note | None:
        """The note of that name, which may be of an older version of the record. Raises: RecordError."""
        return note_of(self.notes.get(name))

    def current(self, name: str) -> Note | None:
        """The note of the record as it is now; None where it has none. Raises: RecordError: it is damaged."""
        note = self.of(name)
        while note is not None:
            if note.version == self.version(name):
                return note
            before, note = note, self.of(name)
            if note == before:  # else both were written in between
                return None
        return None

    def version(self, name: str) -> str | None:
        """The version of the record of that name; None where there is none."""
        header = self._headers((name,)).get(name)
        return None if header is None else version_of(header)

    # -- writing, inside `together`

    def write(self, names: Sequence[str], tag: str | None, cost: float | None = None) -> None:
        """Notes those records, which were just written, in place of the notes that they had."""
        headers = self._headers(names)
        self.write_all(
            {name: Note(version_of(header), tag, cost, header.expires) for name, header in headers.items()}
        )

    def write_all(self, notes: dict[str, Note]) -> None:
        """Stores notes by name, in place of those that there are."""
        self._in_use = True
        self._leave_tags({name: note.tag for name, note in notes.items()})
        rows: list[Row] = []
        for name, note in notes.items():
            rows.append(self._row(self.notes, name, note._asdict(), note))
            if note.tag is not None:
                rows.append(self._row(self.tags, place_of(note.tag, name), None, note))
        if rows:
            self.records.engine.add_sealer(rows[0].seal[:8])
            self.records.engine.apply(self.notes.name, rows)
            self.records.count_writes(len(rows))  # they expire too, and are purged in passing as records are

    @contextmanager
    def kept(self, name: str) -> Iterator[None]:
        """While the block changes the record of that name, the note stays that of the record."""
        note = None
        with suppress(RecordError):  # a damaged note is lost with the change
            note = self.current(name)
        yield
        if note is not None:
            self.write((name,), note.tag, note.cost)

    def forget(self, names: Iterable[str]) -> None:
        """Deletes the notes of those names."""
        wanted = _valid(names)
        self._leave_tags(dict.fromkeys(wanted))
        if wanted:
            self.records.engine.apply(self.notes.name, [Delete(name) for name in wanted])

    def clear(self) -> None:
        """Deletes all notes."""
        self.records.engine.clear(self.notes.name)
        self.records.engine.clear(self.tags.name)

    # -- many records

    def evict(self, tag: str) -> int:
        """Deletes the records of a tag, in pages, each one transaction; returns how many."""
        prefix, after, deleted = place_of(tag, ""), None, 0
        while page := reading.names(self.tags, prefix, after, PAGE):
            names = [place[len(prefix) :] for place in page]
            deleted += self.together(lambda names=names: self._evict(tag, names))  # type: ignore[misc]
            after = page[-1]
        return deleted

    def sweep(self) -> int:
        """Deletes the notes that belong to no record any more; returns how many."""
        after, deleted = None, 0
        while page := reading.names(self.notes, after=after, limit=PAGE):
            deleted += self.together(lambda page=page: self._sweep(page))  # type: ignore[misc]
            after = page[-1]
        return deleted

    def purge(self) -> None:
        """Deletes the notes that have expired with their records."""
        for ns in (self.notes, self.tags):
            ns.expired().delete_all(ns.name)

    def close(self) -> None:
        self.notes.close()
        self.tags.close()

    # -- parts of the above

    def _evict(self, tag: str, names: list[str]) -> int:
        """Deletes those of a page that have the tag still; one whose note cannot be read goes too."""
        headers, notes = self._headers(names), self._stored(names)
        gone = []
        for name in names:
            if name in headers and name in notes:
                note = notes[name]
                if note is None or (note.version, note.tag) == (version_of(headers[name]), tag):
                    gone.append(name)
        self._delete(self.tags, [place_of(tag, name) for name in names])
        self._delete(self.notes, gone)
        return self._delete(self.records, gone)

    def _sweep(self, names: list[str]) -> int:
        headers, notes = self._headers(names), self._stored(names)
        versions = {name: version_of(header) for name, header in headers.items()}
        stale = [name for name, note in notes.items() if note is None or note.version != versions.get(name)]
        self.forget(stale)
        return len(stale)

    def _delete(self, ns: Namespace, names: list[str]) -> int:
        return ns.engine.apply(ns.name, [Delete(name) for name in names]).deleted if names else 0

    def _leave_tags(self, tags: dict[str, str | None]) -> None:
        """Takes those names out of the lists of their tags, but for the tags that they will have."""
        before = self._stored(tags)
        places = [
            place_of(note.tag, name)
            for name, note in before.items()
            if note is not None and note.tag is not None and note.tag != tags[name]
        ]
        self._delete(self.tags, places)

    def _stored(self, names: Iterable[str]) -> dict[str, Note | None]:
        """The notes that there are of those names; None for one that cannot be read."""
        wanted = list(names)
        try:
            return {name: note_of(value) for name, value in reading.get_many(self.notes, wanted).items()}
        except RecordError:
            return {name: note for one in wanted for name, note in self._stored_one(one)}

    def _stored_one(self, name: str) -> Iterator[tuple[str, Note | None]]:
        try:
            value = self.notes.get(name)
        except RecordError:
            yield name, None
            return
        if value is not MISSING:
            yield name, note_of(value)

    def _headers(self, names: Sequence[str]) -> dict[str, Header]:
        """The headers of those records that exist and have not expired."""
        ns, now = self.records, self.records.clock()
        found: dict[str, Header] = ns.engine.get(ns.name, names, Fields.HEADER)
        return {name: header for name, header in found.items() if not has_expired(header, now)}

    def _row(self, ns: Namespace, name: str, value: object, note: Note) -> Row:
        return ns.values.pack(ns.name, name, value, ns.clock(), note.expires, CODEC)


@restarted
def _together(records: Namespace, notes: Notes, work: Callable[[], T]) -> T:
    with records.transaction(notes.notes, notes.tags):
        return work()


def version_of(header: Header) -> str:
    """The version of a record in its note. Unlike `Record.version`, it stays with a new key, and in a copy."""
    return f"{header.revision}-{header.created!r}-{header.modified!r}"


def place_of(tag: str, name: str) -> str:
    """The name of the record that lists a name under a tag. On disk: it may not change."""
    return f"{len(tag)}:{tag}{name}"


def note_of(value: Any) -> Note | None:
    """The note that a stored value is; None for any other, such as one that another program planted."""
    if value is MISSING or not isinstance(value, dict):
        return None
    version, tag, cost, expires = (value.get(field) for field in Note._fields)
    try:
        check_tag(tag)
    except (TypeError, ValueError):  # text that no record can have as its name
        return None
    if not isinstance(version, str):
        return None
    if not all(one is None or _is_seconds(one) for one in (cost, expires)):
        return None
    return Note(version, tag, cost, expires)


def _is_seconds(value: Any) -> bool:
    """Whether it is a number that a time can be: JSON has whole numbers of any length."""
    return type(value) in (int, float) and -sys.float_info.max <= value <= sys.float_info.max


def check_tag(tag: str | None) -> str | None:
    """The tag as a plain `str`; None for none. Raises: TypeError, ValueError: as for a name."""
    return None if tag is None else new_name(tag, "tag")


def _valid(names: Iterable[str]) -> list[str]:
    """The names that a record can have."""
    return [name for name in map(sought_name, names) if name is not None]
