"""Writing a namespace: with options, where there is none, many at once, deleting, and a new lifetime.

One file because putting and deleting use the same checks of names, lifetimes and expected versions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

from store.codecs import CodecChoice
from store.engines.contract import Delete, Fields
from store.errors import Conflict, Corrupt, Tampered, label
from store.opened.arguments import check_name, check_ttl, new_name, sought_name
from store.opened.namespace import Namespace
from store.opened.reading import end_row, names, record_of, record_written
from store.opened.restarts import restarted
from store.opened.sentinels import ABSENT, MISSING, UNSET, Absent, Unset
from store.rows.row import Row, has_expired
from store.system.file_status import unreachable

if TYPE_CHECKING:
    from store.rows.record import Record

Expected: TypeAlias = "Record | str | Absent"  # the state that a write expects of the record of its name
BATCH = 500  # records that `update` packs before it writes them, and that `delete_prefix` deletes at once


def assign(ns: Namespace, name: str, value: Any) -> None:
    """Stores a value, as `s[name] = value`."""
    if type(name) is not str or not name.isascii() or "\0" in name:  # else it needs no check
        name = new_name(name)
    if ns.writeback is None:
        ns.assign(name, value)
    else:
        put(ns, name, value)


@restarted
def put(
    ns: Namespace,
    name: str,
    value: Any,
    ttl: float | Unset | None = UNSET,
    codec: CodecChoice | None = None,
    protocol: int | None = None,
    if_version: Expected | None = None,
) -> Record:
    """See `Store.put`."""
    name = new_name(name)
    row = ns.pack(name, value, seconds_to_live(ns, ttl), codec, protocol)
    try:
        with ns.transaction(names=() if if_version is None else (name,)) as transaction:
            if if_version is not None:
                check_version(ns, name, if_version, row.modified)
            ns.put(row)
            record = record_written(ns, name)
            if ns.writeback is not None:
                ns.writeback.learn(value, row, transaction)
    except BaseException:
        ns.values.discard(row)
        raise
    return record


@restarted
def add(ns: Namespace, name: str, value: Any, ttl: float | Unset | None) -> bool:
    """See `Store.add`."""
    name = new_name(name)
    ttl = seconds_to_live(ns, ttl)
    if ns.find(name) is not None:  # the usual case, which takes no lock
        ns.check_open()
        return False
    with ns.transaction(names=(name,)) as transaction:
        if ns.find(name) is not None:
            return False
        row = ns.pack(name, value, ttl)
        ns.put(row)
        if ns.writeback is not None:
            ns.writeback.learn(value, row, transaction)
        return True


@restarted
def setdefault(ns: Namespace, name: str, default: Any) -> Any:
    """See `Store.setdefault`."""
    name = new_name(name)
    value = ns.get(name)
    if value is not MISSING:
        return value
    with ns.transaction(names=(name,)):
        row = ns.find(name)
        if row is not None:
            return ns.value_of(row)
        assign(ns, name, default)
        return default


def update(
    ns: Namespace,
    other: Any,
    named: Mapping[str, Any],
    ttl: float | Unset | None = UNSET,
    moments: Mapping[str, float] | None = None,
) -> None:
    """See `Store.update`; `ttl` as in `put`, of all records. `moments`: when each is written; None: now."""
    seconds = seconds_to_live(ns, ttl)
    if hasattr(other, "__len__") and len(other) + len(named) <= BATCH:
        if ns.writeback is None and ns.is_optimistic:
            _update_once(ns, other, named, seconds, moments)
        else:
            _update(ns, other, named, (), seconds, moments)
    else:  # of several batches in two orders one would wait for the other: they have the namespace for themselves
        _update_all(ns, other, named, None, seconds, moments)


@restarted
def _update_once(
    ns: Namespace, other: Any, named: Mapping[str, Any], ttl: float | None, moments: Mapping[str, float] | None
) -> None:
    """As one change of the engine, all or nothing: an optimistic transaction would read the records first."""
    rows = _rows_of(ns, pairs_of(other, named), ttl, moments)
    try:
        if rows:
            _put_all(ns, rows)
    except BaseException:
        for row in rows:
            ns.values.discard(row)
        raise


def _update_all(
    ns: Namespace,
    other: Any,
    named: Mapping[str, Any],
    scope: tuple[str, ...] | None,
    ttl: float | None,
    moments: Mapping[str, float] | None,
) -> None:
    pairs = iter(pairs_of(other, named))
    with ns.transaction(names=scope) as transaction:
        while batch := list(islice(pairs, BATCH)):
            rows = _rows_of(ns, batch, ttl, moments)
            _put_all(ns, rows)
            if ns.writeback is not None:
                for (_, value), row in zip(batch, rows, strict=True):
                    ns.writeback.learn(value, row, transaction)


_update = restarted(_update_all)  # of a container, which can be read twice


def _put_all(ns: Namespace, rows: list[Row]) -> None:
    ns.engine.add_sealer(rows[0].seal[:8])
    commit = ns.engine.apply(ns.name, rows).commit
    if commit is not None and ns.cache.limit:
        ns.cache.learn(commit, rows, ns.values.decoder_of_own)
    ns.count_writes(len(rows))


@restarted
def touch(ns: Namespace, name: str, ttl: float | Unset | None = UNSET) -> Record:
    """See `Store.touch`."""
    ttl = seconds_to_live(ns, ttl)
    with ns.transaction(names=names_of(name)) as transaction:
        row = ns.find(name)
        if row is None:
            raise KeyError(name)
        ns.check_own(row, "its lifetime is not yours to change; assign the value again to make the record yours")
        now = ns.clock()
        expires = None if ttl is None else now + ttl
        ns.put(ns.values.reseal(row._replace(expires=expires, modified=now)))
        if ns.writeback is not None:
            ns.writeback.keep_until(row.name, expires, transaction)
        return record_written(ns, row.name)


# -- deleting


@restarted
def delete(ns: Namespace, name: str, if_version: Expected | None = None) -> bool:
    """Deletes a record, also a damaged one that only looks expired; returns whether there was one."""
    if if_version is ABSENT:
        raise TypeError("if_version=ABSENT is for put: what is not there cannot be deleted")
    if if_version is not None:
        name = check_name(name)
        with ns.transaction(names=(name,)):
            check_version(ns, name, if_version, ns.clock())
            return delete(ns, name)
    wanted = sought_name(name)
    return wanted is not None and (_delete(ns, wanted) or _delete_damaged(ns, wanted))


def delete_many(ns: Namespace, wanted: Iterable[str]) -> int:
    """See `Store.delete_many`."""
    if isinstance(wanted, str):
        raise TypeError(f"names are several, in a list for example; to delete {wanted!r:.80} use delete")
    return _delete_all(ns, [check_name(name) for name in wanted])  # before the lock: an iterable may be slow


@restarted
def _delete_all(ns: Namespace, wanted: list[str]) -> int:
    with ns.transaction(names=()) as transaction:
        now = ns.clock()
        if ns.writeback is not None:
            for name in wanted:
                ns.writeback.forget(name, transaction)
        changes = [Delete(name, now=now) for name in dict.fromkeys(wanted)]
        deleted = ns.engine.apply(ns.name, changes).deleted
        if deleted < len(changes):  # one that is left looks expired: it may be damaged
            left = ns.engine.get(ns.name, [change.name for change in changes], Fields.LISTED)
            deleted += sum(_delete_damaged(ns, name) for name in left)
        return deleted


def delete_prefix(ns: Namespace, prefix: str) -> int:
    """See `Store.delete_prefix`."""
    if not check_name(prefix, "prefix"):
        raise ValueError('delete_prefix("") would delete every record of the namespace; to do that use clear()')
    deleted, after = 0, None
    while page := names(ns, prefix, after, BATCH):
        deleted += delete_many(ns, page)
        after = page[-1]
    return deleted


@restarted
def pop(ns: Namespace, name: str, default: Any) -> Any:
    """See `Store.pop`."""
    with ns.transaction(names=names_of(name)):
        row = ns.find(name)
        if row is not None:
            value = ns.value_of(row)
            _delete(ns, row.name)
            return value
    if default is MISSING:
        raise KeyError(name)
    return default


def popitem(ns: Namespace, *, last: bool) -> tuple[str, Any]:
    """See `Store.popitem`."""
    if ns.is_optimistic and not ns.in_transaction():
        return _popitem_alone(ns, last=last)
    return _popitem(ns, last=last)


def _popitem_alone(ns: Namespace, *, last: bool) -> tuple[str, Any]:
    """Compare one record: an optimistic transaction that looks for the end would fail for any other write."""
    while True:
        row = end_row(ns, last=last)
        if row is None:
            raise KeyError("popitem(): the store is empty")
        value = ns.value_of(row)
        try:
            if ns.writeback is None:
                ns.engine.apply(ns.name, [Delete(row.name, row.stamp)])
            else:
                with ns.transaction(names=()) as transaction:
                    ns.writeback.forget(row.name, transaction)
                    ns.engine.apply(ns.name, [Delete(row.name, row.stamp)])
        except Conflict:  # another client took it
            continue
        return row.name, value


@restarted
def _popitem(ns: Namespace, *, last: bool) -> tuple[str, Any]:
    with ns.transaction():
        row = end_row(ns, last=last)
        if row is None:
            raise KeyError("popitem(): the store is empty")
        value = ns.value_of(row)
        _delete(ns, row.name)
        return row.name, value


@restarted
def clear(ns: Namespace) -> None:
    """Deletes all records of the namespace."""
    if ns.writeback is None:
        ns.engine.clear(ns.name)
        return
    with ns.transaction() as transaction:
        ns.engine.clear(ns.name)
        ns.writeback.clear(transaction)


def _delete(ns: Namespace, name: str) -> bool:
    if ns.writeback is None:
        return ns.engine.apply(ns.name, [Delete(name, now=ns.clock())]).deleted > 0
    with ns.transaction(names=(name,)) as transaction:
        ns.writeback.forget(name, transaction)
        return ns.engine.apply(ns.name, [Delete(name, now=ns.clock())]).deleted > 0


def _delete_damaged(ns: Namespace, name: str) -> bool:
    """Deletes a record that looks expired and cannot be read; returns whether there was one."""
    try:
        ns.find(name)
    except (Tampered, Corrupt):
        if not ns.engine.apply(ns.name, [Delete(name)]).deleted:
            raise
        return True
    return False


# -- parts of the above


def names_of(name: str) -> list[str]:
    """The scope of a transaction about a name that no record may have: a list of one, or of none."""
    wanted = sought_name(name)
    return [] if wanted is None else [wanted]


def check_version(ns: Namespace, name: str, wanted: Expected, now: float) -> None:
    """Raises: Conflict: the record of that name is not in the wanted state. TypeError."""
    version = _version_of(ns, wanted)
    header = ns.engine.get(ns.name, (name,), Fields.HEADER).get(name)
    found = None if header is None or has_expired(header, now) else record_of(header)
    if version == (None if found is None else found.version):
        return
    now_is = "there is none" if found is None else f"it is at revision {found.revision}"
    raise Conflict(
        f"{label(name, ns.name)} is not the one that was read ({now_is}): read it again and retry",
        name=name,
        namespace=ns.name,
    )


def _version_of(ns: Namespace, wanted: Expected) -> str | None:
    """What the version must be; None: there must be no record."""
    if wanted is ABSENT:
        return None
    if isinstance(wanted, str):
        return str(wanted)
    try:
        from store.rows.record import Record
    except OSError as exc:
        raise unreachable(ns.location, exc) from exc
    if not isinstance(wanted, Record):
        raise TypeError(
            f"if_version is a Record, its version, or store.ABSENT where there must be none, not {wanted!r:.80}"
        )
    return wanted.version


def seconds_to_live(ns: Namespace, ttl: float | Unset | None) -> float | None:
    """The ttl of a write: the store's, where none was given; None is for ever. Raises: TypeError, ValueError."""
    return ns.options.ttl if ttl is UNSET else check_ttl(ttl)


def _rows_of(
    ns: Namespace, pairs: Iterable[tuple[str, Any]], ttl: float | None, moments: Mapping[str, float] | None
) -> list[Row]:
    return _packed(ns, pairs, ttl) if moments is None else _packed_at(ns, pairs, ttl, moments)


def _packed(ns: Namespace, pairs: Iterable[tuple[str, Any]], ttl: float | None) -> list[Row]:
    """The rows of many values, all written at one moment."""
    pack, namespace, now = ns.values.pack, ns.name, ns.clock()
    expires = None if ttl is None else now + ttl
    return [
        pack(
            namespace,
            name if type(name) is str and name.isascii() and "\0" not in name else new_name(name),
            value, now, expires,
        )
        for name, value in pairs
    ]  # fmt: skip


def _packed_at(
    ns: Namespace, pairs: Iterable[tuple[str, Any]], ttl: float | None, moments: Mapping[str, float]
) -> list[Row]:
    """The same, each written at a moment of its own."""
    now = ns.clock()
    expires = None if ttl is None else now + ttl
    return [ns.values.pack(ns.name, name, value, moments.get(name, now), expires) for name, value in pairs]


def pairs_of(other: Any, named: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The pairs of what `update` takes."""
    if isinstance(other, Mapping):
        yield from other.items()
    elif hasattr(other, "keys"):
        for name in other.keys():  # noqa: SIM118
            yield name, other[name]
    else:
        yield from other
    yield from named.items()
