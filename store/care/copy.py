"""`copy`: the records of a store, or of one namespace, in another store on any engine, as they are."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass

from store.care.comparing import difference
from store.care.copying import Copying, Key, batches
from store.care.following import Follower
from store.engines.contract import Order, in_pages
from store.errors import Corrupt, label
from store.opened.arguments import check_flag, check_name
from store.opened.edits import Opened
from store.opened.namespace import Namespace
from store.opened.opening import open_namespace
from store.opened.options import Mode, Options
from store.rows.row import Row
from store.trust.keys.ring import KeySource

Place = str | os.PathLike[str] | Opened
Progress = Callable[[int, int], object]


@dataclass(frozen=True, slots=True)
class Copied:
    """What `copy` did: records written, those that were there already, and those left out since they had expired.

    `deleted`: records of the target that the source does not have, with `delete=True` or `follow=True`.
    """

    records: int
    unchanged: int
    expired: int
    deleted: int = 0


def copy(
    source: Place,
    target: Place,
    *,
    namespace: str | None = None,
    key: KeySource = None,
    delete: bool = False,
    follow: bool = False,
    stop: Callable[[], bool] | None = None,
    idle: float | None = None,
    progress: Progress | None = None,
) -> Copied:
    """Copies the records of a store into another one, on any engine, all namespaces or one, without decoding them.

    Revision, times, expiry, codec and order stay; expired records are left out. What a key of yours sealed is sealed
    anew for the target; records of others and damaged ones are copied as they are, and stay that. A record of the
    same name in the target is replaced, unless it is the same; others there stay. Killed or repeated, it goes on with
    what is missing. At the end each record is compared with its copy. Others may write to the source meanwhile; a
    copy as of one moment is `Store.backup`.

    Args:
        source, target: an open `Store`, or a path or URL; a target that is not there is made.
        namespace: only this one; its name stays.
        key: as that of `Store`, for what is opened here.
        delete: also delete the records of the target that the source does not have.
        follow: go on with what others change in the source, deletions included, until `stop` or `idle` ends it. Then
            it looks once more and compares. End the writers of the source first, and start them on the target after.
        stop: called between two looks; true ends the following.
        idle: end it when nothing has changed for so many seconds.
        progress: called with the records done, copied and compared alike, and the total as it is known by then.

    Raises:
        StoreNotFound: there is no source. ValueError: source and target are the same store. Corrupt: a copy is not
            the record that was copied; `name` and `namespace` say which. Or a record of the source has columns that
            hold something else; the others are copied first. StorageError: the target is in memory, and cannot hold a
            large value of somebody else. Unsupported: the engine of the source cannot be followed.
    """
    _check(namespace, delete, follow, stop, idle)
    with ExitStack() as stack:
        of = _opened(source, "r", key, stack)
        to = _opened(target, "c", key, stack)
        if (of.engine.id, of.location) == (to.engine.id, to.location):
            raise ValueError(f"source and target are the same store ({of.location}); copy into another one")
        of.sync()
        copying, rows = Copying(of, to, mirrors=follow), _Rows(of, namespace, progress)
        if follow:
            with closing(Follower(copying, namespace)) as follower:
                _all(copying, follower.noted(rows), rows)
                follower.follow(stop, idle)
        else:
            _all(copying, rows, rows)
        if delete:
            copying.delete_others(namespace)
        _verify(copying, rows)
    if copying.damaged:
        raise _damaged(copying.damaged)
    return Copied(copying.records, copying.unchanged, copying.expired, copying.deleted)


def _check(
    namespace: object, delete: bool, follow: bool, stop: Callable[[], bool] | None, idle: float | None
) -> None:
    """Raises: TypeError, ValueError."""
    if namespace is not None:
        check_name(namespace, "namespace")  # type: ignore[arg-type]  # it checks what it is
    check_flag(delete, "delete")
    check_flag(follow, "follow")
    if stop is not None and not callable(stop):
        raise TypeError(f"stop is a function that returns whether to stop, not {stop!r:.80}")
    if idle is not None:
        _check_idle(idle)
    if follow and stop is None and idle is None:
        raise TypeError("follow=True goes on for ever: pass stop=, a function, or idle=, seconds without a change")
    if not follow and (stop is not None or idle is not None):
        raise TypeError("stop= and idle= end what follow=True does; pass that too, or leave them out")


def _check_idle(idle: object) -> None:
    if isinstance(idle, bool) or not isinstance(idle, int | float):
        raise TypeError(f"idle is a number of seconds, not {idle!r:.80}")
    if not idle >= 0:
        raise ValueError(f"idle is a number of seconds from 0 up, not {idle!r}")


def _opened(place: Place, mode: Mode, key: KeySource, stack: ExitStack) -> Namespace:
    if not isinstance(place, str | bytes | os.PathLike) and isinstance(getattr(place, "opened", None), Namespace):
        place.opened.check_open()
        return place.opened
    ns = open_namespace(place, "", Options(mode=mode), key=key)  # type: ignore[arg-type]  # it checks what it is
    stack.callback(ns.close)
    return ns


class _Rows:
    """The rows of the source, or of one namespace, that are there when an iteration begins; each is counted."""

    def __init__(self, of: Namespace, namespace: str | None, progress: Progress | None) -> None:
        self._of, self._namespace, self._progress = of, namespace, progress
        self._done = self._total = 0

    def __iter__(self) -> Iterator[Row]:
        engine = self._of.engine
        self._total = max(self._total, 2 * self._count())  # they are copied, and then compared
        for row in in_pages(engine, self._namespace, Order.INSERTED, until=engine.end(self._namespace)):
            yield row
            self._done += 1

    def show(self) -> None:
        """Report the progress; a source that grows has a total that grows."""
        if self._progress is not None:
            self._total = max(self._total, self._done)
            self._progress(self._done, self._total)

    def _count(self) -> int:
        if self._progress is None:
            return 0
        engine, now = self._of.engine, self._of.clock()
        spaces = engine.namespaces(now) if self._namespace is None else [self._namespace]
        return sum(engine.count(space, now)[0] for space in spaces)


def _all(copying: Copying, wanted: Iterable[Row], rows: _Rows) -> None:
    for batch in batches(wanted):
        copying.write(batch)
        rows.show()


def _verify(copying: Copying, rows: _Rows) -> None:
    """Compare each record with its copy. One that was changed in the source meanwhile is copied again.

    Raises: Corrupt: a copy is not the record of the source.
    """
    again: dict[Key, bytes] = {}
    for batch in batches(rows):
        alive, _ = copying.divided(batch)
        there = copying.there(alive)
        changed = []
        for row in alive:
            found = there.get((row.namespace, row.name))
            problem = difference(copying.of, row, copying.to, found, content=True)
            if problem is not None:
                if found is not None and (found.created, found.revision) == (row.created, row.revision):
                    raise _mismatch(copying, row, problem)
                changed.append(row)
        copying.write(changed)
        again.update({(row.namespace, row.name): row.seal for row in changed})
        rows.show()
    _verify_again(copying, again)


def _verify_again(copying: Copying, seals: dict[Key, bytes]) -> None:
    """Compare those that were copied again, unless they have changed once more."""
    for (space, name), seal in seals.items():
        row = copying.of.engine.get(space, (name,)).get(name)
        if row is not None and row.seal == seal:
            found = copying.there([row]).get((space, name))
            problem = difference(copying.of, row, copying.to, found, content=True)
            if problem is not None:
                raise _mismatch(copying, row, problem)


def _mismatch(copying: Copying, row: Row, problem: str) -> Corrupt:
    return Corrupt(
        f"{label(row.name, row.namespace)}: the copy in {copying.to.location} {problem}; somebody else writes there, "
        "or it does not keep what it is given: end the writers of the target, and copy again",
        name=row.name,
        namespace=row.namespace,
    )


def _damaged(keys: Iterable[Key]) -> Corrupt:
    named = [label(name, space) for space, name in keys]
    return Corrupt(
        f"{len(named)} records have columns that hold something else, and were left out: {', '.join(named[:3])}; all "
        "others were copied"
    )
