"""How many shards a namespace has, as its store records it when they are first used.

The record is in the namespace `#shards`, under the name of the logical namespace. It is plain data, and trusted as
such: it outlives the key of its writer. One that was altered is `Tampered`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, get_args

from store.engines.contract import Fields
from store.errors import Corrupt, ShardsMismatch, label
from store.mapping.sharding.routes import COMPANIONS, MOST, Kind, shard_named
from store.opened import reading, writing
from store.opened.edits import Opened
from store.opened.namespace import Namespace
from store.opened.options import Options
from store.opened.sentinels import MISSING
from store.values.pipeline import Pipeline, choose

T = TypeVar("T")
SPACE = "#shards"  # on disk, never to change


class Layout(NamedTuple):
    """Over how many shards a namespace is spread, by the routes of `kind`; and to how many it is being moved."""

    shards: int
    kind: Kind
    moving_to: int | None = None


def layout_of(ns: Namespace, namespace: str) -> Layout | None:
    """The layout of a namespace of that store; None: it was never sharded. Raises: Tampered, Corrupt."""
    if not ns.engine.get(SPACE, (namespace,), Fields.MARK):  # what every other namespace costs: one look
        return None
    layouts = _layouts(ns)
    try:
        value = layouts.get(namespace)
    finally:
        layouts.close()
    return None if value is MISSING else _layout(namespace, value)


def shards_of(store: Opened, namespace: str) -> int:
    """Over how many shards a namespace of a `Store` is spread, for what opens the sessions or cache of a program."""
    layout = layout_of(store.opened, namespace)
    return 1 if layout is None else layout.shards


def with_its_shards(open_with: Callable[[int], T]) -> T:
    """What `open_with(shards)` opens, with the number of shards that the store has recorded; 1 if it has none."""
    try:
        return open_with(1)
    except ShardsMismatch as exc:
        return open_with(exc.shards or 1)


def record_layout(ns: Namespace, namespace: str, layout: Layout | None) -> None:
    """Records the layout of a namespace, in place of the one that there is; None: that it is not sharded."""
    layouts = _layouts(ns)
    try:
        if layout is None:
            writing.delete(layouts, namespace)
        else:
            writing.put(layouts, namespace, layout._asdict())
    finally:
        layouts.close()


def agree(ns: Namespace, namespace: str, shards: int, kind: Kind) -> None:
    """Makes sure that a namespace has so many shards, and records it with the first use of more than one.

    Raises:
        ShardsMismatch: it has another number, is of another kind, or a move to another number was not ended.
    """
    found = layout_of(ns, namespace)
    if found is None and shards > 1:
        _check_unused(ns, namespace, shards, kind)
        if ns.options.mode == "r":
            return
        found = _record_first(ns, namespace, Layout(shards, kind))
    if found is not None and found != (shards, kind, None):
        raise _mismatch(ns, namespace, found, shards, kind)


def start_empty(ns: Namespace, namespace: str, shards: int, kind: Kind) -> None:
    """Deletes the records of a namespace, whatever layout they have, and records the new one: mode "n"."""
    if shards > 1 or layout_of(ns, namespace) is not None:
        for one in spaces_of(ns, namespace):
            ns.engine.clear(one)
        record_layout(ns, namespace, Layout(shards, kind) if shards > 1 else None)


def spaces_of(ns: Namespace, namespace: str) -> list[str]:
    """The namespaces of the store that hold records of a logical one, in any layout."""
    own = [namespace + companion for companion in COMPANIONS]
    found = ns.engine.namespaces(float("-inf"))  # with those whose records have expired
    return [one for one in found if one in own or _is_shard_of(one, namespace)]


def _is_shard_of(found: str, namespace: str) -> bool:
    shard = shard_named(found)
    return shard is not None and shard.namespace == namespace


def _record_first(ns: Namespace, namespace: str, layout: Layout) -> Layout:
    """Records a layout where there is none yet, and returns the one that there is then."""
    layouts = _layouts(ns)
    try:
        writing.add(layouts, namespace, layout._asdict(), None)
        return _layout(namespace, layouts.get(namespace))
    finally:
        layouts.close()


def _check_unused(ns: Namespace, namespace: str, shards: int, kind: Kind) -> None:
    """Raises: ShardsMismatch: the namespace has records already, in one part or in another number of shards."""
    for found in reading.namespaces(ns):
        shard = shard_named(found)
        if found == namespace:
            raise _mismatch(ns, namespace, Layout(1, kind), shards, kind)
        if shard is not None and shard.namespace == namespace and shard.shards != shards:
            raise _mismatch(ns, namespace, Layout(shard.shards, kind), shards, kind)


def _mismatch(ns: Namespace, namespace: str, found: Layout, shards: int, kind: Kind) -> ShardsMismatch:
    given = f"the namespace {namespace!r} of {ns.location}"
    call = f"store.reshard({ns.location!r}, {namespace!r}, {found.moving_to or shards}, kind={found.kind!r})"
    if found.moving_to is not None:
        text = f"{given} is being moved to {found.moving_to} shards; if that was interrupted, run {call} again"
    elif found.kind != kind:
        text = f"{given} has the shards of {found.kind}, not of {kind}; give {kind} another namespace"
    else:
        text = (
            f"{given} has {_number(found.shards)}, and was opened with {_number(shards)}: open it with "
            f"shards={found.shards}; or end the programs that use it, and move it by {call}"
        )
    return ShardsMismatch(text, namespace=namespace, shards=found.shards)


def _number(shards: int) -> str:
    return f"{shards} shards" if shards > 1 else "1 shard"


def _layouts(ns: Namespace) -> Namespace:
    """The namespace of all layouts, where plain data are trusted."""
    choices = choose("json", None, "data", ())
    options = Options(mode=ns.options.mode, timeout=ns.options.timeout, cache_bytes=0)
    return Namespace(ns.engine.share(), Pipeline(ns.values.sealer, choices), SPACE, ns.clock, options)


def _layout(namespace: str, value: Any) -> Layout:
    """Raises: Corrupt: the value is no layout."""
    fields: Any = map(value.get, Layout._fields) if isinstance(value, dict) else (0, "memo")
    found = Layout(*fields)
    if (
        _is_number(found.shards) and found.kind in get_args(Kind)
        and (found.moving_to is None or _is_number(found.moving_to))
    ):  # fmt: skip
        return found
    raise Corrupt(
        f"{label(namespace, SPACE)} does not say how many shards the namespace has; delete it, and open the "
        "namespace with the right number",
        name=namespace,
        namespace=SPACE,
    )


def _is_number(value: Any) -> bool:
    return type(value) is int and 1 <= value <= MOST
