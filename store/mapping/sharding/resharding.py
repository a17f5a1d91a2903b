"""`reshard`: the records of a namespace, moved to another number of shards."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from typing import Any, get_args

from store.care.copying import batches
from store.errors import Corrupt, RecordError, ShardsMismatch
from store.mapping.sharding.layout import Layout, layout_of, record_layout, spaces_of
from store.mapping.sharding.merging import rows_in_order
from store.mapping.sharding.routes import (
    COMPANIONS,
    Kind,
    check_shards,
    namespace_of,
    route_of,
    shard_named,
    shard_of,
)
from store.mapping.store import Store
from store.opened.arguments import check_name
from store.opened.namespace import Namespace
from store.rows.row import Row
from store.trust.keys.key import ID_BYTES, UNKEYED
from store.trust.keys.ring import KeySource


@dataclass(frozen=True, slots=True)
class Resharded:
    """What `reshard` did: records moved, with the notes of a cache, and those left out since they had expired."""

    records: int
    expired: int


def reshard(
    location: str | os.PathLike[str] | Store[Any],
    namespace: str,
    shards: int,
    *,
    kind: Kind | None = None,
    key: KeySource = None,
) -> Resharded:
    """Moves the records of a namespace to another number of shards, as they are: revision, times and order stay.

    End the programs that use the namespace first: what they write meanwhile may be lost. Opening it is refused until
    the move is done. Killed at any moment, it has lost nothing: run it again. It needs room for a second copy.

    Args:
        location: a path or URL, or an open `Store`.
        namespace: the logical one, such as "sessions".
        shards: how many there will be; 1: the namespace itself, as without `shards`.
        kind: what keeps its records there: "sessions", "cache" or "memo". None: as recorded, or as the namespace is
            called.
        key: as that of `Store`, for a location.

    Raises:
        ValueError: `kind` is needed. ShardsMismatch: a move to another number was interrupted, or the kind is another
        one. Untrusted, Tampered, Corrupt: a record that cannot be moved, since no key of yours sealed it, or it is
        damaged: nothing has changed; delete it, or `admit` it, and run it again. StoreNotFound, StorageError.
    """
    check_shards(shards), check_name(namespace, "namespace")
    with ExitStack() as stack:
        store = location if isinstance(location, Store) else stack.enter_context(Store(location, mode="w", key=key))
        ns = store.opened
        with store.lock(f"reshard {namespace}"):
            before = _before(ns, namespace, shards, kind)
            if before.shards == shards:
                _delete_others(ns, namespace, before)  # those that a move has left which was killed at its end
                return Resharded(0, 0)
            return _move(ns, namespace, before._replace(moving_to=shards))


def _before(ns: Namespace, namespace: str, shards: int, kind: Kind | None) -> Layout:
    """The layout that there is. Raises: ValueError, ShardsMismatch."""
    found = layout_of(ns, namespace)
    chosen = kind or (found.kind if found is not None else namespace)
    if chosen not in get_args(Kind):
        known = ", ".join(get_args(Kind))
        raise ValueError(f"kind says what keeps its records in {namespace!r}: one of {known}, not {kind!r}")
    found = found or Layout(1, chosen)  # type: ignore[arg-type]
    if found.kind != chosen or found.moving_to not in (None, shards):
        raise ShardsMismatch(
            f"the namespace {namespace!r} of {ns.location} has {found.shards} shards of {found.kind}, and is being "
            f"moved to {found.moving_to}: end that first" if found.moving_to else
            f"the namespace {namespace!r} of {ns.location} has the shards of {found.kind}, not of {chosen}",
            namespace=namespace,
            shards=found.shards,
        )  # fmt: skip
    return found


def _move(ns: Namespace, namespace: str, layout: Layout) -> Resharded:
    assert layout.moving_to is not None
    after = Layout(layout.moving_to, layout.kind)
    record_layout(ns, namespace, layout)  # from here on nobody opens it
    moving = Moving(ns, namespace, layout)
    try:
        for companion in COMPANIONS:
            moving.copy(companion)
    except RecordError:  # the old shards are as they were
        record_layout(ns, namespace, _kept(layout))
        raise
    record_layout(ns, namespace, _kept(after))
    _delete_others(ns, namespace, after)
    return Resharded(moving.records, moving.expired)


def _kept(layout: Layout) -> Layout | None:
    """A layout at rest, as it is recorded."""
    return None if layout.shards == 1 else layout._replace(moving_to=None)


def _delete_others(ns: Namespace, namespace: str, layout: Layout) -> None:
    """Deletes the records of all layouts but this one."""
    for space in spaces_of(ns, namespace):
        shard = shard_named(space)
        if (shard.shards if shard is not None and shard.namespace == namespace else 1) != layout.shards:
            ns.engine.clear(space)


class Moving:
    """Copies the records of one layout into another, and counts them."""

    def __init__(self, ns: Namespace, namespace: str, layout: Layout) -> None:
        self.records = self.expired = 0
        self._ns, self._namespace, self._layout = ns, namespace, layout

    def copy(self, companion: str) -> None:
        """Copies those of the shards' namespaces that end with `companion`, in order of insertion."""
        route, shards = route_of(self._layout.kind, companion), self._layout.moving_to or 1
        if shards > 1:
            self._clear(companion, shards)
        for rows in batches(self._alive(companion)):
            parts: dict[int, list[Row]] = {}
            for row in rows:
                parts.setdefault(shard_of(route(row.name), shards), []).append(row)
            for index, some in parts.items():
                self._write(some, namespace_of(self._namespace, shards, index) + companion)

    def _clear(self, companion: str, shards: int) -> None:
        """Deletes the records that a move has copied which was killed."""
        for index in range(shards):
            self._ns.engine.clear(namespace_of(self._namespace, shards, index) + companion)

    def _alive(self, companion: str) -> Iterator[Row]:
        """The rows of the old shards that have not expired. Raises: Untrusted, Tampered, Corrupt: one cannot move."""
        with ExitStack() as stack:
            spaces = []
            for index in range(self._layout.shards):
                name = namespace_of(self._namespace, self._layout.shards, index) + companion
                spaces.append(self._ns.within(name, cache_bytes=0))
                stack.callback(spaces[-1].close)
            for ns, row in rows_in_order(spaces):
                if ns.is_alive(row, ns.clock()):
                    if not row.seal.startswith(UNKEYED):
                        ns.check_own(row, f"it cannot move to another shard: delete it in {ns.name!r}, or admit it")
                    yield row
                else:
                    self.expired += 1

    def _write(self, rows: list[Row], space: str) -> None:
        """Writes rows into another namespace, all or none."""
        ns = self._ns
        made: list[Row] = []
        with nullcontext() if ns.engine.transactions is None else ns.transaction(names=()):
            try:
                for row in rows:
                    made.append(_moved(ns, row, space))
                for key_id in {row.seal[:ID_BYTES] for row in made}:
                    ns.engine.add_sealer(key_id)
                ns.engine.load(made)
            except BaseException:
                for row in made:
                    ns.values.discard(row)
                raise
        self.records += len(rows)


def _moved(ns: Namespace, row: Row, space: str) -> Row:
    """The row in another namespace, sealed anew, its large parts copied. Raises: Corrupt, StorageError."""
    seal: Callable[[Row], Row] = ns.values.reseal
    if row.seal.startswith(UNKEYED):
        ns.values.sealer.check(row)
        seal = ns.values.sealer.seal_unkeyed  # no key sealed it, and none does now
    if row.spill is None or ns.values.large is None:
        return seal(row._replace(namespace=space))
    made = ns.values.large.moved(row, space)
    if problems := ns.values.large.problems(made, foreign=False):
        ns.values.discard(made)
        raise Corrupt(f"a large value is not sound: {problems[0]}").about(row.name, row.namespace)
    return seal(made)
