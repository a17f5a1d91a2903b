"""`Sessions`, on the public `Store`.

One file because it is the manual page of sessions: each method is documented, and calls the parts beside it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Self, Unpack, cast

from store import errors
from store.codecs import CodecChoice
from store.mapping.sharding.sharded import AnyStore, ShardedStore, open_shards, shards_within
from store.mapping.store import Store
from store.opened.arguments import locate
from store.opened.options import OpeningOptions, check_options
from store.opened.sentinels import ABSENT, UNSET, Unset
from store.rows.record import Record
from store.sessions.ids import check_given
from store.sessions.options import FOREVER, Lifetime, check_lifetime
from store.sessions.records import Change, Move, NoSuchSession, SessionEdit, SessionRecords
from store.sessions.users import UserSessions
from store.system.rights import private_rights

TWO_WEEKS = 14 * 24 * 3600.0
_NO_WRITEBACK = "sessions have no writeback: it could bring back what was deleted; use edit"


class Sessions:
    """Sessions in one file, by ids that the file does not hold.

    Safe across threads, processes and forks. A pickle of it opens the same file again, without the key.

    Args:
        location: a path or URL; or an open `Store`, which stays open when this is closed. Its key, clock, trust and
            mode are then those of the sessions: open it with trust="own", or plain data of anybody who can write the
            file is taken for a session.
        namespace: which of the mappings in the file.
        ttl: seconds that a session lives from its `create`, and from each `touch`, unless these get a number of their
            own; `FOREVER`: no session expires.
        codec: how data are encoded. "json" is for plain data; `store.sessions.tagged.TaggedJSON()` has dates, tuples
            and sets too; "pickle" holds any object, at the price that anybody who has the key can run code. Existing
            sessions keep theirs.
        group: the name or number of a group that shares the file, where this call makes it: its mode is 0660 then,
            and 0600 without, whatever the umask. Files beside it follow; an existing file keeps its mode. Users of
            the group need a folder that they may write; give it the group, and `chmod g+s`.
        shards: over how many namespaces the sessions are spread, each in a slot of a cluster of its own. The store
            records the number at the first use; `store.reshard` changes it.
        options: of the `Store` to open: key, clock, timeout, durability, mode… Its trust is "own" by default, so a
            record that none of your keys sealed is no session.

    Raises:
        As `Store`. TypeError: options beside an open `Store`; ttl=None. ValueError: there is no such group.
        ShardsMismatch: the sessions there have another number of shards.
    """

    def __init__(
        self,
        location: str | os.PathLike[str] | Store[Any],
        *,
        namespace: str = "sessions",
        ttl: float | Lifetime = TWO_WEEKS,
        codec: CodecChoice = "json",
        group: str | int | None = None,
        shards: int = 1,
        **options: Unpack[OpeningOptions],
    ) -> None:
        seconds = check_lifetime(ttl)
        if isinstance(location, Store):
            if group is not None:
                raise TypeError("group: the file is there already; give it to the group with chgrp and chmod")
            if options:
                raise TypeError(f"{', '.join(options)}: give options to the Store that you open, not to its Sessions")
            if location.opened.writeback is not None:
                raise TypeError(_NO_WRITEBACK)
            store: AnyStore[Any] = shards_within(location, namespace, shards, "sessions")
        else:
            if options.get("writeback"):
                raise TypeError(_NO_WRITEBACK)
            check_options("Sessions", options, ("namespace", "ttl", "codec", "group", "shards"))
            if locate(location)[0] == "sqlite":
                options.setdefault("rights", private_rights(group))
            elif group is not None:
                raise ValueError("group is of a store that is a file; this one is not")
            options.setdefault("trust", "own")
            store = open_shards(location, namespace, shards, "sessions", {**options, "codec": codec})
        self._store, self._ttl = store, seconds
        self._records = SessionRecords(store, codec)

    # -- one session

    def create(
        self,
        data: dict[str, Any],
        *,
        ttl: float | Lifetime | Unset = UNSET,
        user: str | None = None,
        id: str | None = None,
    ) -> str:
        """Makes a session and returns its id, which is the visitor's and is kept nowhere else.

        Args:
            ttl: in seconds, or `FOREVER`; left out, it is that of the `Sessions`.
            user: the name of the user who has logged in, by which `by` finds it. The file holds a keyed hash of it.
            id: an id to use, for an adapter whose framework makes them: 32 to 128 characters of A-Z, a-z, 0-9, _ and
                -, from a random generator of the server. Never pass one that a client sent: the person who
                chose it would be in the visitor's session (session fixation). It has no place for a `user`.

        Raises:
            NotSerializable: the codec cannot hold the data; says where in them. Conflict: there is a session of that
            `id`. ValueError: `id` cannot be one; `user` is empty.
        """
        _check_data(data)
        seconds, tags = self._seconds(ttl), self._records.tags
        if id is None:
            made = tags.id_for(user)
            self._store.put(tags.name_of(made), data, ttl=seconds, codec=self._records.codec)
            return made
        if user is not None:
            raise TypeError("id has no place for a user: leave id out, or name the user in `rotate`")
        name = tags.name_of(check_given(id))
        self._store.put(name, data, ttl=seconds, codec=self._records.codec, if_version=ABSENT)
        return id

    def load(self, id: str | None) -> dict[str, Any] | None:
        """The data of a session, or None where there is none. Whatever `id` is, nothing is raised for it."""
        return self._records.read(self._name(id))

    def save(self, id: str | None, data: dict[str, Any], *, ttl: float | Lifetime | Unset = UNSET) -> bool:
        """Replaces the data of an existing session; returns whether there is one. The last writer wins, see `edit`.

        It never makes a session: an id that somebody chose, or one that expired or was deleted since `load`, stays
        absent. The expiry stays, unless `ttl` gives a new one: seconds from now, or `FOREVER`.

        Raises:
            NotSerializable: the codec cannot hold the data; the session stays as it was.
        """
        _check_data(data)
        return self.modify(id, lambda _: data, ttl=ttl)

    def modify(
        self,
        id: str | None,
        fn: Callable[[dict[str, Any]], dict[str, Any]],
        *,
        ttl: float | Lifetime | Unset = UNSET,
    ) -> bool:
        """Replaces the data of an existing session by `fn(data)`, as one step; returns whether there is one.

        The expiry stays, unless `ttl` gives a new one in the same step. Other writers wait, so `fn` should be quick;
        on engines that must retry it may run again.

        Raises:
            NotSerializable: as `save`. TypeError: `fn` returned no dict. Whatever `fn` raises, with nothing written.
        """
        name, seconds = self._name(id), self._seconds(ttl)
        if self._records.looks_first and self._records.read(name) is None:
            return False
        try:
            self._records.modify(name, lambda data: _check_data(fn(data)), seconds, keeps_expiry=ttl is UNSET)
        except NoSuchSession:  # deleted since
            return False
        return True

    def edit(self, id: str | None) -> AbstractContextManager[dict[str, Any]]:
        """Gives the data to change, and writes them back: one atomic step between threads and processes.

        Other writers wait, so be quick inside. An exception writes nothing. A session that expires inside the block
        stays expired. Call `save`, `rotate` and `delete` for it after the block: inside, they raise `Conflict`.

        Raises:
            NoSuchSession: a `KeyError`. NotSerializable: the codec cannot hold the data; nothing was written.
        """
        return SessionEdit(self._records, self._name(id))

    def touch(self, id: str | None, *, ttl: float | Lifetime | Unset = UNSET) -> bool:
        """Lets a session live for `ttl` seconds from now; returns whether there is one. Data are not decoded.

        `FOREVER` lets it never expire. Without `ttl` it is that of the `Sessions`, and a session that lives longer
        anyway is left as it is.
        """
        name, seconds = self._name(id), self._seconds(ttl)
        if self._records.looks_first and name not in self._store:
            return False
        return self._records.touch(name, seconds, never_shorter=ttl is UNSET)

    def rotate(
        self, id: str | None, *, ttl: float | Lifetime | Unset = UNSET, user: str | Unset | None = UNSET,
        change: Change | None = None, new: str | None = None,
    ) -> str | None:  # fmt: skip
        """Moves a session to a new id, as one step, and returns that; None where there is no session.

        Do so whenever the visitor's rights change, at login above all: an id that somebody slipped them before
        (session fixation) is then worth nothing. The data stay; so does the expiry, to within the time that the step
        takes, unless `ttl` gives a new one: seconds from now, or `FOREVER`. `user` names whose session it is from now
        on, None nobody's; left out, that stays too. `change(data)` alters the data in the same step: what a login
        writes is never under the old id, nor lost with it. It may be called again, where others came first.
        `new` is an id to use in place of a random one, as the `id` of `create`, and has no place for a user either.

        Raises:
            NotSerializable: the codec cannot hold the changed data; the old session stands. Conflict: there is a
            session of the id `new`. ValueError: `new` cannot be an id.
        """
        name, seconds, tags = self._name(id), self._seconds(ttl), self._records.tags
        if new is not None and isinstance(user, str):
            raise TypeError("new has no place for a user: leave it out")
        after = tags.id_after(id, user) if new is None else check_given(new)
        if self._records.read(name) is None:
            return None
        to = Move(name, self._name(after), seconds, ttl is UNSET, change, is_given=new is not None)
        try:
            self._records.move(to)
        except NoSuchSession:
            return None
        return after

    def delete(self, id: str | None) -> bool:
        """Deletes a session; returns whether there was one."""
        name = self._name(id)
        if self._records.looks_first and name not in self._store:
            return False
        return self._store.delete(name)

    def record(self, id: str | None) -> Record | None:
        """The metadata of a session, or None. Data are not decoded.

        `created` is when it got this id, `modified` when it was last saved, edited or touched.
        """
        try:
            return self._store.record(self._name(id))
        except KeyError:
            return None

    # -- all of them, and all of one user

    def by(self, user: str) -> UserSessions:
        """The sessions of a user, to list and to end: `sessions.by("alice").end()` logs out everywhere.

        They are those whose `create` or last `rotate` had this `user`. Raises: TypeError, ValueError: it is no name.
        """
        return UserSessions(self._records, user)

    def __len__(self) -> int:
        """How many sessions live, those that `load` would refuse among them."""
        return len(self._store)

    def __bool__(self) -> bool:
        return True  # `if sessions:` asks for the object, not whether anybody is logged in

    def records(self, prefix: str = "") -> Iterator[Record]:
        """The metadata of all sessions. Their names are hashes, from which no id can be computed."""
        return self._store.records(prefix)

    def clear_expired(self) -> int:
        """Deletes the sessions that have expired; returns how many. At most 256 of them in one transaction.

        Call it now and then: an expired session is absent without it, but takes up room.
        """
        return self._store.purge()

    @property
    def rejected(self) -> int:
        """How often a session was taken for absent because it could not be trusted or read."""
        return self._records.rejected

    @property
    def ttl(self) -> float | Lifetime:
        """Seconds that a session lives by default, or `FOREVER`."""
        return FOREVER if self._ttl is None else self._ttl

    @property
    def store(self) -> Store[Any]:
        """The mapping of the records, for a `transaction` of several steps; their names are hashes of the ids.

        Over several shards it is a `ShardedStore`, which has the methods of `Store` but `watch`.
        """
        return cast("Store[Any]", self._store)

    @property
    def location(self) -> str:
        """The absolute path of the file, or ":memory:"."""
        return self._store.location

    @property
    def namespace(self) -> str:
        """The namespace that holds the sessions."""
        return self._store.namespace

    def close(self) -> None:
        """Closes; a second call does nothing. A `Store` that was passed in stays open."""
        self._store.close()

    def __enter__(self) -> Self:
        self._store.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        try:
            state = f"{len(self)} sessions"
        except errors.StoreClosed:
            state = "closed"
        except errors.StoreError as exc:  # a repr is for people who look for the fault
            state = f"unreadable: {type(exc).__name__}"
        return f"<{type(self).__name__} {self.location!r} namespace={self.namespace!r} {state}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return reopened, (type(self), self._store.__reduce__(), self._ttl, self._records.codec)

    # -- how it is done

    def _name(self, id: object) -> str:
        """The name of the record of an id, whatever it is."""
        return self._records.tags.name_of(id)

    def _seconds(self, ttl: float | Lifetime | Unset) -> float | None:
        """The seconds of a lifetime; None is for ever. Left out, it is that of the sessions."""
        return self._ttl if ttl is UNSET else check_lifetime(ttl)


def _check_data(data: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(data, dict):  # what it is instead may be an id: it is not shown
        raise TypeError(f"the data of a session are a dict, not {type(data).__name__}")
    return data


def reopened(cls: type[Sessions], store: tuple[Any, ...], ttl: float | None, codec: CodecChoice) -> Sessions:
    """Opens pickled or copied sessions again, with a handle of their own."""
    reopen, arguments = store
    with reopen(*arguments) as opened:
        of, shards = (opened.stores[0], len(opened.stores)) if isinstance(opened, ShardedStore) else (opened, 1)
        lifetime = FOREVER if ttl is None else ttl
        return cls(of, namespace=opened.namespace, ttl=lifetime, codec=codec, shards=shards)
