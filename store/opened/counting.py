"""Counting: a number that many processes add to, and a record that only one of them makes."""

from __future__ import annotations

from typing import Any

from store.errors import label
from store.opened.arguments import check_name
from store.opened.edits import modify
from store.opened.namespace import Namespace
from store.opened.sentinels import UNSET, Unset
from store.opened.writing import put, seconds_to_live


def add(ns: Namespace, name: str, value: Any, ttl: float | Unset | None = UNSET) -> bool:
    """See `Store.add`."""
    name = check_name(name)
    seconds_to_live(ns, ttl)
    if ns.find(name) is not None:  # the usual case, which takes no lock
        ns.check_open()
        return False
    with ns.transaction():
        if ns.find(name) is not None:
            return False
        put(ns, name, value, ttl)
        return True


def incr(ns: Namespace, name: str, delta: int, default: int) -> int:
    """See `Store.incr`."""
    _check_int(delta, "delta")
    _check_int(default, "default")

    def plus(value: Any) -> int:
        _check_int(value, label(check_name(name), ns.name))
        return int(value + delta)

    count: int = modify(ns, name, plus, default)
    return count


def _check_int(number: object, what: str) -> None:
    """Raises: TypeError: anything else, a bool or another subclass too, since the sum would not be of its class."""
    if type(number) is not int:
        raise TypeError(f"{what} is {type(number).__name__}, and incr adds whole numbers (int) only")
