"""Writes that are buffered above an engine until they are committed, and merged into reads meanwhile.

The engine in memory uses it for open transactions, `optimistic.py` for engines that hold no transaction open.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from store.engines.contract import (
    PAGE_ROWS,
    Applied,
    Change,
    Check,
    Cursor,
    Delete,
    Fields,
    Load,
    Order,
    Page,
    Put,
    Reads,
    cursor_of,
    expect,
    of_row,
)  # fmt: skip
from store.rows.row import Row, has_expired

Key = tuple[str, str]
"""Namespace and name."""


class Buffered(NamedTuple):
    """The buffered change of one name."""

    row: Row | None
    """None: it is deleted."""
    is_new: bool
    """Whether the row comes after those of the base; otherwise it keeps its place there."""
    base: Row | None
    """The row of the base."""


_NOTHING = Buffered(None, False, None)


class Overlay:
    """Buffered writes of all namespaces over a base. Each change is one step, which no interrupt divides."""

    def __init__(self, base: Reads, last_id: int | None = None) -> None:
        """`last_id`: new rows get the ids after it; None: after that of the base."""
        self.changes: dict[Key, Buffered] = {}
        self.is_changed = False
        """Whether anything was to be changed, also if there was nothing to delete."""
        self._base = base
        self._first_id = last_id
        self._last_id: int | None = None
        self._undo: list[tuple[Key, Buffered | None]] = []

    # -- reading

    def get(self, namespace: str, names: Sequence[str], fields: Fields = Fields.ROW) -> dict[str, Any]:
        changes = self.changes
        found = self._base.get(namespace, [name for name in names if (namespace, name) not in changes], fields)
        for name in names:
            row = changes.get((namespace, name), _NOTHING).row
            if row is not None:
                found[name] = of_row(row, fields)
        return found

    def scan(
        self,
        namespace: str | None,
        order: Order,
        *,
        after: Cursor | None = None,
        until: Cursor | None = None,
        prefix: str = "",
        limit: int = PAGE_ROWS,
        reverse: bool = False,
        fields: Fields = Fields.ROW,
    ) -> Page:
        page = self._base.scan(
            namespace, order, after=after, until=until, prefix=prefix, limit=limit, reverse=reverse, fields=fields
        )
        base, own = page.items, self._own(namespace, order, after, until, prefix, reverse)
        items: list[Any] = []
        taken = own_taken = 0
        last: Cursor = None
        while len(items) < limit:
            if own_taken < len(own) and (
                page.next is None
                if taken == len(base)
                else _is_first(own[own_taken][0], cursor_of(base[taken], order), reverse)
            ):
                last, row = own[own_taken]
                items.append(of_row(row, fields))
                own_taken += 1
            elif taken < len(base):
                last = cursor_of(base[taken], order)
                items += self._shown(namespace, base[taken], order, fields)
                taken += 1
            else:
                break
        if taken == len(base) and (page.next is not None or own_taken == len(own)):
            return Page(items, page.next)
        return Page(items, last)

    def end(self, namespace: str | None) -> Cursor:
        return self._base.end(namespace) if self._last_id is None else self._last_id

    def count(self, namespace: str, now: float) -> tuple[int, float]:
        number, until = self._base.count(namespace, now)
        for (other, _), (row, _, base) in self.changes.items():
            if other == namespace:
                number += _is_alive(row, now) - _is_alive(base, now)
                if row is not None and row.expires is not None and row.expires > now:
                    until = min(until, row.expires)
        return number, until

    def namespaces(self, now: float, after: str | None = None, limit: int | None = None) -> list[str]:
        changed = {namespace for namespace, _ in self.changes}
        found = set(self._base.namespaces(now)) - changed
        found |= {namespace for namespace in changed if self.count(namespace, now)[0]}
        return sorted(name for name in found if after is None or name > after)[:limit]

    # -- writing

    def apply(self, namespace: str, changes: Sequence[Change | Load], *, stamps: bool = False) -> Applied:
        whole = [Put(change) if isinstance(change, Row) else change for change in changes]
        new: dict[Key, Buffered] = {}
        known = self._known(namespace, whole)
        deleted, given = 0, []
        for change in whole:
            key = (
                (change.row.namespace, change.row.name)
                if isinstance(change, Put | Load)
                else (namespace, change.name or "")
            )
            before = new.get(key) or known[key]
            if isinstance(change, Put):
                new[key] = after = self._put(before, change)
                given.append("" if after.row is None else after.row.stamp)
                continue
            expect(_stamp(before.row), change.expect, *key)
            if isinstance(change, Load):
                new[key] = self._load(before, change.row)
                given.append(change.row.stamp)
            elif isinstance(change, Delete) and before.row is not None and _is_alive(before.row, change.now):
                new[key] = Buffered(None, False, before.base)
                deleted += 1
        self._change(new)
        return Applied(deleted, given if stamps else [])

    def load(self, rows: Sequence[Row]) -> None:
        known = self._known("", [Put(row) for row in rows])
        self._change({(row.namespace, row.name): self._load(known[row.namespace, row.name], row) for row in rows})

    def clear(self, namespace: str) -> None:
        self.is_changed = True
        after: Cursor = None
        while True:
            page = self.scan(namespace, Order.INSERTED, after=after, fields=Fields.LISTED)
            names = [item.name for item in page.items]
            rows = self._base.get(namespace, names)
            self._change({(namespace, name): Buffered(None, False, rows.get(name)) for name in names})
            after = page.next
            if after is None:
                return

    def reseal(self, row: Row, before: bytes) -> bool:
        """As `Care.reseal`."""
        key = row.namespace, row.name
        found = self._known(row.namespace, [Delete(row.name)])[key]
        if found.row is None or found.row.seal != before:
            return False
        self._change({key: found._replace(row=found.row._replace(seal=row.seal, crc=row.crc))})
        return True

    def savepoint(self) -> int:
        """The argument for `roll_back_to`."""
        return len(self._undo)

    def roll_back_to(self, savepoint: int) -> None:
        """Undo all changes since then."""
        while len(self._undo) > savepoint:
            key, before = self._undo[-1]
            if before is None:
                self.changes.pop(key, None)
            else:
                self.changes[key] = before
            self._undo.pop()

    def _change(self, new: dict[Key, Buffered]) -> None:
        self._undo.extend([(key, self.changes.get(key)) for key in new])
        self.changes.update(new)

    def _known(self, namespace: str, changes: Sequence[Put | Load | Delete | Check]) -> dict[Key, Buffered]:
        """The current state of all names in those changes."""
        self.is_changed = True
        names: dict[str, list[str]] = {}
        for change in changes:
            space, name = _key_of(namespace, change)
            names.setdefault(space, []).append(name)
        found = {}
        for space, wanted in names.items():
            rows = self._base.get(space, [name for name in wanted if (space, name) not in self.changes])
            for name in wanted:
                row = rows.get(name)
                found[space, name] = self.changes.get((space, name)) or Buffered(row, False, row)
        return found

    def _put(self, before: Buffered, change: Put) -> Buffered:
        row, old = change.row, before.row
        if old is not None and has_expired(old, row.modified):
            old = None
        expect(_stamp(old), change.expect, row.namespace, row.name)
        if old is None:
            return Buffered(row._replace(id=self._new_id(), revision=1), True, before.base)
        row = row._replace(
            id=old.id, revision=old.revision + 1, created=old.created, modified=max(old.created, row.modified)
        )
        return before._replace(row=row)

    def _load(self, before: Buffered, row: Row) -> Buffered:
        if before.row is None:
            return Buffered(row._replace(id=self._new_id()), True, before.base)
        return before._replace(row=row._replace(id=before.row.id))

    def _new_id(self) -> int:
        last = self._first_id if self._last_id is None else self._last_id
        self._last_id = (self._base.end(None) if last is None else last) + 1
        return self._last_id

    def _own(
        self, namespace: str | None, order: Order, after: Any, until: Any, prefix: str, reverse: bool
    ) -> list[tuple[Any, Row]]:
        """The buffered rows that a scan returns in addition to those of the base, each with its cursor."""
        own = [
            (cursor_of(row, order), row)
            for (space, name), (row, is_new, _) in self.changes.items()
            if row is not None
            and namespace in (None, space)
            and name.startswith(prefix)
            and (order is not Order.INSERTED or is_new)
            and (order is not Order.EXPIRY or row.expires is not None)
        ]
        if until is not None:
            bound = (until, math.inf) if order is Order.EXPIRY else until
            own = [one for one in own if one[0] <= bound]
        own.sort(key=_key, reverse=reverse)
        return [one for one in own if after is None or (one[0] < after if reverse else one[0] > after)]

    def _shown(self, namespace: str | None, item: Any, order: Order, fields: Fields) -> list[Any]:
        """The item that a scan shows for one of the base, in a list; empty if it is deleted or comes elsewhere."""
        changed = self.changes.get((item.namespace if namespace is None else namespace, item.name))
        if changed is None:
            return [item]
        if order is not Order.INSERTED or changed.is_new or changed.row is None:
            return []
        return [of_row(changed.row, fields)]


def in_order(changes: dict[Key, Buffered]) -> list[tuple[Key, Buffered]]:
    """The changes in the order to apply them: new rows last, in order of insertion."""
    return sorted(changes.items(), key=lambda item: (item[1].row.id or 0) if item[1].is_new and item[1].row else -1)


def _stamp(row: Row | None) -> str | None:
    return None if row is None else row.stamp


def _key_of(namespace: str, change: Put | Load | Delete | Check) -> Key:
    if isinstance(change, Put | Load):
        return change.row.namespace, change.row.name
    if change.name is None:  # an engine compares versions before it comes here
        raise ValueError("an overlay has no versions of namespaces")
    return namespace, change.name


def _is_alive(row: Row | None, now: float) -> bool:
    return row is not None and not has_expired(row, now)


def _is_first(own: Any, base: Any, reverse: bool) -> bool:
    """Whether a buffered row comes before one of the base; one of the same name does, and hides it."""
    return bool(own >= base if reverse else own <= base)


def _key(one: tuple[Any, Row]) -> Any:
    return one[0]
