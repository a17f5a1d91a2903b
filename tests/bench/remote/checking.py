"""Checks that a peer stores and reads what it is measured with, before it is measured."""

from __future__ import annotations

from typing import Any

from ..session import name, pairs, session
from .peers import Kind

RECORDS = 300  # more than a page has


class NotStored(AssertionError):
    """A peer gave something else than what it was given."""


def check_all(url: str, kinds: list[Kind]) -> None:
    """Raises: NotStored, which names the peer and the operation."""
    for kind in kinds:
        check(kind, url)


def check(kind: Kind, url: str) -> None:
    """Do each operation that the peer has, and compare what it stored. Raises: NotStored."""
    kind.fill(url, pairs(RECORDS))
    peer = kind.open(url)
    try:
        for operation, test in _TESTS.items():
            if operation not in kind.lacks and not test(peer):
                raise NotStored(f"{kind.label}: {operation} did not do what it is measured with")
    finally:
        peer.close()


def _get(peer: Any) -> bool:
    return bool(peer.get(name(5)) == session(5))


def _set(peer: Any) -> bool:
    peer.set(name(5), session(6))
    found = peer.get(name(5))
    peer.set(name(5), session(5))
    return bool(found == session(6))


def _update(peer: Any) -> bool:
    peer.update([(name(5), session(6)), (name(4), session(6))])
    found = peer.get(name(4))
    peer.update(pairs(10))
    return bool(found == session(6) and peer.get(name(5)) == session(5))


def _get_many(peer: Any) -> bool:
    return bool(peer.get_many([name(3), name(4)]) == {name(3): session(3), name(4): session(4)})


def _delete(peer: Any) -> bool:
    peer.delete(name(RECORDS - 1))
    try:
        return not peer.get(name(RECORDS - 1))
    except Exception:  # each has an error of its own for a missing record
        return True


def _items(peer: Any) -> bool:
    """After `_delete`. Names may have another form."""
    users = sorted(value["user"] for _, value in peer.items())
    return users == [session(number)["user"] for number in range(RECORDS - 1)]


def _edit(peer: Any) -> bool:
    """Twice: the second one finds what the first one saved."""
    before, after = dict(peer.edit(name(7))), dict(peer.edit(name(7)))
    return bool(before["user"] == after["user"] == session(7)["user"] and before != after)


_TESTS = {
    "get": _get, "set": _set, "update": _update, "get_many": _get_many, "delete": _delete, "items": _items,
    "edit": _edit,
}  # fmt: skip
