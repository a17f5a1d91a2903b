"""Fills the containers of a stream: charges each key before it is hashed, and counts nesting."""

from __future__ import annotations

import collections
from collections.abc import Callable
from typing import Any

from store.classes.attributes import defined, method_of
from store.codecs.restricted.limits import Budget
from store.errors import Corrupt

_SECONDS_PER_ITEM = 40e-6  # that a `__setitem__` of the program may use
_DICTS = (dict, collections.OrderedDict, collections.defaultdict, collections.Counter)


class Filling:
    """Fills lists, dicts, sets, and objects of `classes` with the same methods."""

    def __init__(self, budget: Budget, classes: set[type]) -> None:
        self.budget = budget
        self.classes = classes
        self.running: type | None = None  # the allowed class whose code runs
        self._filled: dict[int, tuple[Any, int]] = {}  # id → (an object of a dict-like class, number of items set)

    def fill_list(self, target: Any, items: list[Any]) -> None:
        """APPEND, APPENDS: fill a list, a deque, or an object of an allowed class with `extend` or `append`."""
        self.budget.nest(target, items)
        if type(target) is list or type(target) is collections.deque:
            target.extend(items)
        elif type(target) in self.classes:
            self._fill_own_list(target, items)
        else:
            raise Corrupt(f"it appends to something that is no list but {type(target).__qualname__[:80]!r}")

    def _fill_own_list(self, target: Any, items: list[Any]) -> None:
        """As the stdlib's unpickler, but ignores methods that the record itself set on the object."""
        self.budget.charge_arguments((items,))
        extend, append = method_of(target, "extend"), method_of(target, "append")
        self.running = type(target)
        if extend is not None:
            extend(items)
        elif append is not None:
            for item in items:
                append(item)
        else:
            raise Corrupt(f"it appends to something that is no list but {type(target).__qualname__[:80]!r}")
        self.running = None

    def fill_dict(self, target: Any, items: list[Any]) -> None:
        """SETITEM, SETITEMS: set items given as key, value, key, …"""
        if len(items) % 2:
            raise Corrupt("a key has no value")
        self.budget.nest(target, items)
        if type(target) in _DICTS:
            for piece in self.budget.pieces(len(target), items, 2):
                self._set_items(target, piece)
        elif type(target) in self.classes:
            self._fill_own_dict(target, items)
        else:
            raise Corrupt(f"it sets items of an object that is not a dict but {type(target).__qualname__[:80]!r}")

    def _fill_own_dict(self, target: Any, items: list[Any]) -> None:
        is_own = defined(type(target), "__setitem__") is not dict.__setitem__
        filled = dict.__len__(target) if isinstance(target, dict) else self._filled.get(id(target), (None, 0))[1]
        self.running = type(target)
        for piece in self.budget.pieces(filled, items, 2, _SECONDS_PER_ITEM if is_own else 0.0):
            self._set_items(target, piece)
        self.running = None
        if not isinstance(target, dict):
            self._filled[id(target)] = target, filled + len(items) // 2

    def _set_items(self, target: Any, items: list[Any]) -> None:
        for index in range(0, len(items), 2):
            self.budget.charge_key(target, items[index])
            target[items[index]] = items[index + 1]

    def fill_set(self, target: set[Any], items: list[Any]) -> None:
        """ADDITEMS, and sets made from lists."""
        self.budget.nest(target, items)
        for piece in self.budget.pieces(set.__len__(target), items):
            for item in piece:
                self.budget.charge_key(target, item)
                target.add(item)

    def fill_in_pieces(self, made: Any, items: list[Any], put: Callable[..., None]) -> None:
        """Fill a new dict with pairs, or a new set with items, by a method of the standard type."""
        is_dict = isinstance(made, dict)
        for piece in self.budget.pieces(0, items):
            for item in piece:
                args = item if is_dict else (item,)
                self.budget.charge_key(made, args[0])
                put(made, *args)
