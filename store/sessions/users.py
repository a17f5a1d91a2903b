"""`UserSessions`: the sessions of one user, listed and ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from store.opened.edits import together
from store.opened.steps import in_steps
from store.rows.record import Record
from store.sessions.ids import check_user
from store.sessions.records import SessionRecords

STEP = 900  # sessions that are ended at once where a transaction is bounded


class UserSessions:
    """The sessions of one user, as `Sessions.by` gives them. Each call looks anew.

    They are those that were created, or rotated, with this user's name, and that live. Safe across threads, processes
    and forks.
    """

    def __init__(self, records: SessionRecords, user: str) -> None:
        self._records, self._user = records, check_user(user)

    def records(self) -> list[Record]:
        """The metadata of each, the oldest first: `created` at its last `create` or `rotate`, `modified` when it was
        last saved, edited or touched. Data are not decoded."""
        found = (record for prefix in self._prefixes() for record in self._records.at(prefix).records(prefix))
        return sorted(found, key=lambda record: record.created)

    def load(self, record: Record) -> dict[str, Any] | None:
        """The data of one of them, None where it has ended, is no session of this user or cannot be trusted."""
        return self._records.read(record.name) if self._is_one(record) else None

    def delete(self, record: Record) -> bool:
        """Ends one of them; returns whether it was there. One of another user stays."""
        return self._is_one(record) and self._records.store.delete(record.name)

    def end(self, *, but: str | None = None) -> int:
        """Ends all of them as one step; returns how many. "Log out everywhere". More than 900 take several on Redis.

        Afterwards none is left that existed when this was called, whatever other processes did with it meanwhile: a
        rotation is before or after, and after it finds nothing. A login that is under way may come after it; to keep
        a thief of the password out, change the password first.

        Args:
            but: the id of a session to keep, that of the visitor's own browser. Any other id keeps none.
        """
        kept = self._records.tags.name_of(but)
        return sum(self._end(prefixes, kept) for prefixes in self._by_shard())

    def __len__(self) -> int:
        """How many there are, those that `load` would refuse among them."""
        return sum(1 for _ in self._names())

    def __bool__(self) -> bool:
        return any(map(bool, self._names()))

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} in {self._records.store.location!r}>"  # the name is not for logs

    def _prefixes(self) -> list[str]:
        return self._records.tags.prefixes(self._user)

    def _names(self, prefixes: Iterable[str] | None = None) -> Iterator[str]:
        for prefix in self._prefixes() if prefixes is None else prefixes:
            yield from self._records.at(prefix).names(prefix)

    def _end(self, prefixes: list[str], kept: str) -> int:
        """Ends those with these prefixes, which are of one shard, as one step; as several where that is bounded.

        The last step has found no more of them, so a rotation that came between two steps is ended too.
        """
        store = self._records.at(prefixes[0])
        if not any(map(bool, self._names(prefixes))):  # without waiting for writers
            return 0

        def work() -> tuple[int, bool]:
            names = [name for name in self._names(prefixes) if name != kept]
            some = next(in_steps(store.opened, names, STEP), names)
            return store.delete_many(some), len(some) < len(names)

        ended, has_more = 0, True
        while has_more:
            number, has_more = together(store.opened, work)
            ended += number
        return ended

    def _by_shard(self) -> list[list[str]]:
        """The prefixes in steps of one shard each: one step, unless keys were changed and the tags with them.

        That of new sessions comes last. A rotation that gives a session of an older tag the new one is before the
        step of the older tag, and the last step finds its session; or it is after that, and finds no session.
        """
        steps: list[list[str]] = []
        for prefix in self._prefixes():
            if steps and self._records.at(steps[-1][0]) is self._records.at(prefix):
                steps[-1].append(prefix)
            else:
                steps.append([prefix])
        return steps

    def _is_one(self, record: Record) -> bool:
        return record.name.startswith(tuple(self._prefixes()))
