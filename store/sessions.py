"""`Sessions`: what a web application remembers of each visitor, under an id that only the visitor has.

    from store.sessions import Sessions

    with Sessions("app.db", ttl=3600) as sessions:
        id = sessions.create({"user": "ann"})      # goes into the visitor's cookie, and nowhere else
        data = sessions.load(id)                   # {"user": "ann"}, or None
        with sessions.edit(id) as data:            # one atomic step between threads and processes
            data["cart"] = ["tea"]
        id = sessions.rotate(id)                   # at each login: a new id, the old one is dead
        sessions.delete(id)                        # logout

An id is 256 random bits as 43 characters. The file holds a hash of it, so that whoever steals the file can take
over no session; no error, warning, log or `repr` of this module has an id in it. An id that is forged, malformed,
expired, deleted or of another file is simply absent: all of them are hashed, looked up and answered alike. The
look-up is of the hash, by an index, so how long it takes tells nothing of any id.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Self, TypeGuard

from store.errors import (
    CodecUnavailable,
    Corrupt,
    RecordError,
    StoreClosed,
    StoreError,
    Tampered,
    UnknownProtocol,
    Untrusted,
)
from store.mapping.store import Store
from store.opened.arguments import check_ttl, locate
from store.opened.edits import Edit, step
from store.opened.sentinels import MISSING
from store.system import caller
from store.system.rights import private_rights

if TYPE_CHECKING:
    from types import TracebackType

    from store.rows.record import Record

TWO_WEEKS = 14 * 24 * 3600.0
_A_WHILE = 3600.0  # what a session is made with that gets its own lifetime in the same transaction

# Do not change: they make the names of records on disk.
_ID_BYTES = 32
_DOMAIN = b"store.sessions"  # a hash of the same text for another purpose is another one

_ID_LENGTH = len(secrets.token_urlsafe(_ID_BYTES))
_UNREADABLE = (Untrusted, Tampered, Corrupt, UnknownProtocol, CodecUnavailable)

_NO_WRITEBACK = "sessions have no writeback: it could bring back what was deleted; use edit"

_warned: set[tuple[str, str]] = set()  # files and namespaces of which this process has told


class NoSuchSession(KeyError):
    """There is no session of that id: it expired, was deleted or rotated, or never was. It does not hold the id."""

    def __init__(self, message: str = "there is no such session: it expired, was deleted, or never was") -> None:
        super().__init__(message)

    def __str__(self) -> str:
        return str(self.args[0])  # a KeyError shows the repr


class Sessions:
    """Sessions in one file, by ids that the file does not hold.

    Safe across threads, processes and forks. Pickled, it opens the same file again, without the key.

    Args:
        location: a path or URL, or an open `Store`, of whose file a namespace is used; close that on its own. Its
            key, clock, trust and mode are then those of the sessions: open it with trust="own", or else plain data of
            whoever can write the file is taken for a session.
        namespace: which of the mappings in the file.
        ttl: seconds that a session lives from its `create`, and from each `touch`, unless these are told another
            number; None is for ever.
        codec: how data are encoded: "json" is for plain data; "pickle" holds any object, at the price that who has
            the key can run code. Sessions that are there keep theirs.
        group: the name or number of a group that shares the file, where this call makes it: its mode is 0660 then,
            and 0600 without, whatever the umask. What is beside it follows; a file that is there keeps what it has.
            Users of the group need a folder that they may write; give it the group, and `chmod g+s`.
        options: of the `Store` to open, where `location` names one: key, clock, timeout, durability, mode…
            Its trust is "own": what no key of yours sealed is no session.

    Raises:
        As `Store`. TypeError: options beside an open `Store`. ValueError: there is no such group.
    """

    def __init__(
        self,
        location: str | os.PathLike[str] | Store[Any],
        *,
        namespace: str = "sessions",
        ttl: float | None = TWO_WEEKS,
        codec: Any = "json",
        group: str | int | None = None,
        **options: Any,
    ) -> None:
        ttl = check_ttl(ttl)
        if isinstance(location, Store):
            if group is not None:
                raise TypeError("group: the file is there already; give it to the group with chgrp and chmod")
            if options:
                raise TypeError(f"{', '.join(options)}: give options to the Store that you open, not to its Sessions")
            if location.opened.writeback is not None:
                raise TypeError(_NO_WRITEBACK)
            store = location.within(namespace)
        else:
            if options.get("writeback"):
                raise TypeError(_NO_WRITEBACK)
            if locate(location)[0] == "sqlite":
                options = {"rights": private_rights(group), **options}
            elif group is not None:
                raise ValueError("group is of a store that is a file; this one is not")
            store = Store(location, namespace=namespace, codec=codec, **{"trust": "own", **options})
        self._set_up(store, ttl, codec)

    def _set_up(self, store: Store[Any], ttl: float | None, codec: Any) -> None:
        self._store = store
        self._ttl = ttl
        self._codec = codec
        self._rejections: dict[int, int] = {}  # by thread: a lock could be held, for ever, in a forked child

    # -- one session

    def create(self, data: dict[str, Any], *, ttl: float | None = None) -> str:
        """Makes a session; returns its id, which is the visitor's and is kept nowhere else.

        `ttl` is in seconds; None is that of the `Sessions`.

        Raises:
            NotSerializable: the codec cannot hold the data; says where in them.
        """
        _check_data(data)
        id = _new_id()
        self._put(_name_of(id), data, ttl)
        return id

    def load(self, id: str | None) -> dict[str, Any] | None:
        """The data of a session, or None where there is none. Whatever `id` is, nothing is raised for it."""
        return self._read(_name_of(id))

    def save(self, id: str | None, data: dict[str, Any]) -> bool:
        """Replaces the data of a session that is there; whether it was. The last writer wins, see `edit`.

        It never makes a session: an id that somebody chose, or one that expired or was deleted since `load`, stays
        absent. The expiry stays.

        Raises:
            NotSerializable: the codec cannot hold the data; what was there stands.
        """
        _check_data(data)
        name = _name_of(id)
        if self._read(name) is None:
            return False
        try:
            self._store.modify(name, lambda _: data)  # unlike `put`, keeps the expiry and makes no record
        except KeyError:  # deleted since
            return False
        return True

    def edit(self, id: str | None) -> AbstractContextManager[dict[str, Any]]:
        """Gives the data to change, and writes them back: one atomic step between threads and processes.

        Others wait with their writes, so be quick inside. An exception writes nothing. A session that expires
        meanwhile stays expired. `save`, `rotate` and `delete` it after the block: inside, they are a `Conflict`.

        Raises:
            NoSuchSession: a `KeyError`. NotSerializable: the codec cannot hold the data; nothing was written.
        """
        return _SessionEdit(self, _name_of(id))

    def touch(self, id: str | None, *, ttl: float | None = None) -> bool:
        """Lets a session live for `ttl` seconds from now; whether it was there. Data are not decoded.

        Without `ttl` it is that of the `Sessions`, and a session that lives longer anyway is left as it is.
        """
        seconds = self._ttl if ttl is None else check_ttl(ttl)
        name = _name_of(id)
        if name not in self._store:  # without waiting for writers
            return False
        try:
            with step(self._store):
                before = self._store.record(name)
                after = self._store.touch(name, seconds)
                if ttl is None and _ends_later(before, after):
                    raise _LivesLonger
        except _LivesLonger:
            return True
        except KeyError:
            return False
        except _UNREADABLE as exc:
            self._reject(exc)
            return False
        return True

    def rotate(self, id: str | None, *, ttl: float | None = None) -> str | None:
        """Gives a session a new id and makes an end of the old one, as one step; None where there is none.

        Do so whenever the visitor's rights change, at login above all: an id that somebody slipped them before
        (session fixation) is then worth nothing. The data stay; so does the expiry, to within the time that the step
        takes, unless `ttl` gives a new one in seconds.
        """
        check_ttl(ttl)
        name, new_id = _name_of(id), _new_id()
        if self._read(name) is None:
            return None
        try:
            with step(self._store):
                self._move(name, _name_of(new_id), ttl)
        except NoSuchSession:
            return None
        return new_id

    def delete(self, id: str | None) -> bool:
        """Makes an end of a session; whether it was there."""
        name = _name_of(id)
        if name not in self._store:
            return False
        try:
            del self._store[name]
        except KeyError:
            return False
        return True

    def record(self, id: str | None) -> Record | None:
        """The metadata of a session (when it was made, when it expires), or None; nothing is decoded or checked."""
        try:
            return self._store.record(_name_of(id))
        except KeyError:
            return None

    # -- all of them

    def __len__(self) -> int:
        """How many live; those count, too, that `load` would refuse."""
        return len(self._store)

    def __bool__(self) -> bool:
        return True  # `if sessions:` asks whether there is such an object, not whether anybody is logged in

    def records(self, prefix: str = "") -> Iterator[Record]:
        """The metadata of all sessions; their names are the hashes of ids, from which no id can be had."""
        return self._store.records(prefix)

    def clear_expired(self) -> int:
        """Deletes the sessions that have expired; how many. In transactions of at most 256 sessions each.

        Call it now and then: they are absent without it, but take up room.
        """
        return self._store.purge()

    @property
    def rejected(self) -> int:
        """How often a session was taken for absent since it could not be trusted or read; the first is a warning."""
        return sum(list(self._rejections.values()))

    @property
    def ttl(self) -> float | None:
        """Seconds that a session lives by default; None is for ever."""
        return self._ttl

    @property
    def location(self) -> str:
        """The absolute path of the file, or ":memory:"."""
        return self._store.location

    @property
    def namespace(self) -> str:
        """The namespace that holds the sessions."""
        return self._store.namespace

    def close(self) -> None:
        """Closes; a second call does nothing. An open `Store` that was passed in stays open."""
        self._store.close()

    def __enter__(self) -> Self:
        self._store.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        try:
            state = f"{len(self)} sessions"
        except StoreClosed:
            state = "closed"
        except StoreError as exc:  # a repr is for people who look for the fault
            state = f"unreadable: {type(exc).__name__}"
        return f"<{type(self).__name__} {self.location!r} namespace={self.namespace!r} {state}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (type(self), self._store.__reduce__(), self._ttl, self._codec)

    # -- how it is done

    def _put(self, name: str, data: dict[str, Any], ttl: float | None, **options: Any) -> Record:
        """A new record. Its lifetime is `ttl`, else that of the sessions, and never that of an open `Store`."""
        seconds = self._ttl if ttl is None else check_ttl(ttl)
        lasts = (
            seconds is None and self._store.opened.options.ttl is not None
        )  # whose ttl may be over before it is taken away
        with step(self._store):
            first = _A_WHILE if lasts else seconds
            record = self._store.put(name, data, ttl=first, **{"codec": self._codec, **options})
            return self._store.touch(name, None) if lasts else record

    def _move(self, name: str, new: str, ttl: float | None) -> None:
        """Inside a transaction. Raises: NoSuchSession: it is gone, or its time is over."""
        try:
            old = self._store.record(name)
            first = _A_WHILE if ttl is None else ttl  # that of the sessions may be over before it is changed
            made = self._put(new, self._store[name], first, codec=old.codec, protocol=old.protocol)
            if ttl is None:
                self._store.touch(new, _seconds_left(old, made))
            del self._store[name]
        except KeyError:
            raise NoSuchSession from None

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            data = self._store.get(name)
        except _UNREADABLE as exc:
            self._reject(exc)
            return None
        if data is None or isinstance(data, dict):
            return data
        self._reject(Corrupt(f"it holds {type(data).__name__}, no session").about(name, self.namespace))
        return None

    def _reject(self, exc: RecordError | CodecUnavailable) -> None:
        """Count it, and tell of the first. Raises: Corrupt: it is not the record that is damaged but the file."""
        if isinstance(exc, RecordError) and exc.name is None:
            raise exc
        thread = threading.get_ident()
        self._rejections[thread] = self._rejections.get(thread, 0) + 1
        if (self.location, self.namespace) not in _warned:
            _warned.add((self.location, self.namespace))
            caller.warn(
                f"{self.location} has a session that is taken for absent: {exc}. This is told once; "
                f"`store verify {self.location}` lists all such records"
            )


class _SessionEdit(Edit[dict[str, Any]]):
    """What `Sessions.edit` returns: the edit of a record that must be a session."""

    def __init__(self, sessions: Sessions, name: str) -> None:
        super().__init__(sessions._store.opened, name, MISSING)
        self._sessions = sessions

    def __enter__(self) -> dict[str, Any]:
        if self._sessions._read(self._name) is None:  # before the writer's lock: forged ids hold up nobody
            raise NoSuchSession
        try:
            return super().__enter__()
        except KeyError:  # deleted since
            raise NoSuchSession from None


class _LivesLonger(Exception):
    """A session would end sooner if it was touched."""


def _new_id() -> str:
    """An id that nobody can guess, and that no command line takes for an option."""
    while (id := secrets.token_urlsafe(_ID_BYTES)).startswith("-"):
        pass
    return id


def _name_of(id: object) -> str:
    """The name of the record of an id. What cannot be an id gets a random one's, so that all go the same way."""
    text = id if _is_well_formed(id) else secrets.token_urlsafe(_ID_BYTES)
    return blake2b(str.encode(text, "ascii"), digest_size=32, person=_DOMAIN).hexdigest()


def _is_well_formed(id: object) -> TypeGuard[str]:
    """Whether it is text of an id's length: all that the hash must be kept from."""
    return isinstance(id, str) and str.__len__(id) == _ID_LENGTH and str.isascii(id)


def _check_data(data: object) -> None:
    if not isinstance(data, dict):  # what it is instead may be an id: it is not shown
        raise TypeError(f"the data of a session are a dict, not {type(data).__name__}")


def _ends_later(one: Record, other: Record) -> bool:
    return other.expires is not None and (one.expires is None or one.expires > other.expires)


def _seconds_left(old: Record, made: Record) -> float | None:
    """What `old` had left to live when `made` was written. Raises: NoSuchSession: nothing."""
    if old.expires is None:
        return None
    seconds = (old.expires - made.modified).total_seconds()
    if seconds <= 0:
        raise NoSuchSession
    return seconds


def _reopened(cls: type[Sessions], store: tuple[Any, ...], ttl: float | None, codec: Any) -> Sessions:
    """From the store's own `__reduce__`, so that a copy, too, has a handle of its own."""
    reopen, arguments = store
    sessions = cls.__new__(cls)
    sessions._set_up(reopen(*arguments), ttl, codec)
    return sessions
