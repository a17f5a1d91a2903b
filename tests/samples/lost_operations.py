"""Operations with what they return and leave behind, for tests that lose the connection in their middle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from store import Store

BEFORE = {"a": 1, "b": {"n": 1}, "c": [1], "user:1": "Alice", "user:2": "Bob"}


@dataclass
class Operation:
    """What is called, what it returns, and what the store holds then."""

    call: Callable[[Store[Any]], Any]
    result: Any = None
    after: dict[str, Any] | None = None
    """None: as before."""
    revisions: dict[str, int] | None = None
    """Of names that are replaced; 1 for all others."""
    is_single: bool = True
    """One statement, which always succeeds if one connection is lost."""


def _edit(s: Store[Any]) -> None:
    with s.edit("b") as value:
        value["n"] += 1


def _transaction(s: Store[Any]) -> None:
    with s.transaction():
        s["a"] = 2
        with s.transaction():
            s["new"] = 3
        del s["c"]


OPERATIONS = {
    "get": Operation(lambda s: s["b"], {"n": 1}),
    "get_absent": Operation(lambda s: s.get("none"), None),
    "contains": Operation(lambda s: "a" in s, True),
    "len": Operation(len, 5),
    "items": Operation(lambda s: dict(s.items()), BEFORE),
    "names": Operation(lambda s: list(s.names("user:")), ["user:1", "user:2"]),
    "set": Operation(lambda s: s.__setitem__("a", 2), None, {**BEFORE, "a": 2}, {"a": 2}),
    "set_new": Operation(lambda s: s.__setitem__("new", 2), None, {**BEFORE, "new": 2}),
    "del": Operation(lambda s: s.__delitem__("a"), None, {k: v for k, v in BEFORE.items() if k != "a"}),
    "delete": Operation(lambda s: s.delete("a"), True, {k: v for k, v in BEFORE.items() if k != "a"}),
    "delete_absent": Operation(lambda s: s.delete("none"), False),
    "clear": Operation(lambda s: s.clear(), None, {}),
    "put": Operation(lambda s: s.put("a", 2).revision, 2, {**BEFORE, "a": 2}, {"a": 2}, is_single=False),
    "update": Operation(lambda s: s.update(a=2, new=3), None, {**BEFORE, "a": 2, "new": 3}, {"a": 2}, is_single=False),
    "add": Operation(lambda s: s.add("new", 2), True, {**BEFORE, "new": 2}, is_single=False),
    "setdefault": Operation(lambda s: s.setdefault("new", 2), 2, {**BEFORE, "new": 2}, is_single=False),
    "incr": Operation(lambda s: s.incr("a"), 2, {**BEFORE, "a": 2}, {"a": 2}, is_single=False),
    "pop": Operation(lambda s: s.pop("a"), 1, {k: v for k, v in BEFORE.items() if k != "a"}, is_single=False),
    "popitem": Operation(
        lambda s: s.popitem(), ("user:2", "Bob"), {k: v for k, v in BEFORE.items() if k != "user:2"}, is_single=False
    ),
    "touch": Operation(lambda s: s.touch("a", 1e9).revision, 2, BEFORE, {"a": 2}, is_single=False),
    "delete_prefix": Operation(
        lambda s: s.delete_prefix("user:"), 2, {k: BEFORE[k] for k in "abc"}, is_single=False
    ),
    "edit": Operation(_edit, None, {**BEFORE, "b": {"n": 2}}, {"b": 2}, is_single=False),
    "modify": Operation(
        lambda s: s.modify("a", lambda n: n + 1), 2, {**BEFORE, "a": 2}, {"a": 2}, is_single=False
    ),
    "transaction": Operation(
        _transaction, None, {**{k: v for k, v in BEFORE.items() if k != "c"}, "a": 2, "new": 3}, {"a": 2},
        is_single=False,
    ),
}  # fmt: skip
