"""The path from a value to one of its parts, as a Python expression: `value['conn'].pool[3].socket`.

Steps for which Python has no syntax are written as

    value.key((1, <_thread.lock object>))    a key of a dict
    value.member(<_thread.lock object>)      a member of a set
    f.__closure__['lock']                    the value of a variable of an enclosing function
    x.copyreg()[1][0]                        a part of the result of the `copyreg.pickle` function for x
"""

from __future__ import annotations

import copyreg
from collections.abc import Iterator
from keyword import iskeyword
from operator import is_
from types import CodeType, FunctionType
from typing import Any

from store.classes.attributes import attributes_of, defined
from store.classes.shown import shown

MOST_WAYS = 1000  # objects that are searched for a path from one object to another
MOST_SHOWN = 80  # characters of a key
_CONTAINERS: tuple[Any, ...] = (list, tuple, dict, set, frozenset)
_WRAPPERS: dict[type, tuple[str, ...]] = {
    property: ("fget", "fset", "fdel"), staticmethod: ("__func__",), classmethod: ("__func__",),
}  # fmt: skip
ATOMS = frozenset({str, float, bool, bytes, bytearray, complex, type(None), type(...), type(NotImplemented)})


class Node:
    """An object, and the object that holds it. `reduced` is the result of its `__reduce__`."""

    __slots__ = ("parent", "reduced", "value")

    def __init__(self, parent: Node | None, value: Any) -> None:
        self.parent, self.value = parent, value
        self.reduced: tuple[Any, ...] = ()


def chain_to(node: Node) -> list[Node]:
    """The objects from the whole value to this one."""
    chain = [node]
    while chain[-1].parent is not None:
        chain.append(chain[-1].parent)
    return chain[::-1]


def steps_to(node: Node, protocol: int) -> list[tuple[Any, str]]:
    """The steps of the path, each with the object that it starts from.

    Objects made by `__reduce__` and `__getstate__` have no name in the program, but their parts may. A step therefore
    leads to the last object of the chain that its start holds directly.
    """
    chain, steps, at = chain_to(node), [], 0
    places = {id(each.value): n for n, each in enumerate(chain)}
    while at < len(chain) - 1:
        owner, further, text = chain[at].value, at, ""
        try:
            for part, form, key in _parts(owner):
                if places.get(id(part), 0) > further:
                    further, text = places[id(part)], form.format(_key(key) if "{}" in form else "")
        except Exception:  # a metaclass with unusual behaviour
            pass
        if further == at:
            made = _made_step(chain[at], chain[at + 1].value, protocol)
            further, text = (at + 1, made) if made else _longer_step(owner, places, at)
        steps.append((owner, text))
        at = further
    return steps


def _parts(owner: Any) -> Iterator[tuple[Any, str, Any]]:
    """(part, format of the step, key) for each part of an object. Runs no code of the program."""
    cls = type(owner)
    yield cls, ".__class__", None
    if cls is FunctionType:
        yield from _parts_of_function(owner)
    elif issubclass(cls, BaseException):
        yield from ((arg, ".args[{}]", n) for n, arg in enumerate(vars(BaseException)["args"].__get__(owner)))
    for name, held in attributes_of(owner):
        if _leads_there(cls, name, held):
            yield held, f".{name}", None
        else:
            yield held, ".__dict__[{}]", name
    if cls in _WRAPPERS:
        yield from ((getattr(owner, name), f".{name}", None) for name in _WRAPPERS[cls])
    base = next((base for base in _CONTAINERS if issubclass(cls, base)), None)
    if base is dict:
        for key, held in dict.items(owner):
            yield held, "[{}]", key
            yield key, ".key({})", key
    elif base is not None:
        form = "[{}]" if base in (list, tuple) else ".member({})"
        for n, held in enumerate(base.__iter__(owner)):
            yield held, form, n if base in (list, tuple) else held


def _parts_of_function(function: FunctionType) -> Iterator[tuple[Any, str, Any]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        try:
            yield cell.cell_contents, ".__closure__[{}]", name
        except ValueError:  # it is empty
            pass
    for n, default in enumerate(function.__defaults__ or ()):
        yield default, ".__defaults__[{}]", n
    for where in ("__kwdefaults__", "__annotations__"):
        yield from ((held, f".{where}[{{}}]", name) for name, held in (getattr(function, where) or {}).items())
    codes = [function.__code__]
    for code in codes:
        codes += [constant for constant in code.co_consts if type(constant) is CodeType]
        names = [name for name in code.co_names if name in function.__globals__]
        yield from ((function.__globals__[name], ".__globals__[{}]", name) for name in names)


def _leads_there(cls: Any, name: Any, part: Any) -> bool:
    """Whether a value in the `__dict__` or in a slot can be reached as an attribute."""
    if type(name) is not str or not name.isidentifier() or iskeyword(name):
        return False
    if issubclass(cls, type):  # attribute access on a class binds descriptors
        return not hasattr(type(part), "__get__") or type(part) is FunctionType
    return not isinstance(defined(cls, name), property)


def _longer_step(owner: Any, places: dict[int, int], at: int) -> tuple[int, str]:
    """(place of a later object in the chain, several steps to it); the next place and no steps if none is found."""
    ways, seen = [(owner, "")], {id(owner)}
    for holder, so_far in ways:
        for part, form, key in _parts(holder) if len(ways) < MOST_WAYS else ():
            text = so_far + form.format(_key(key))
            if places.get(id(part), 0) > at:
                return places[id(part)], text
            if id(part) not in seen and type(part) not in ATOMS:
                seen.add(id(part))
                ways.append((part, text))
    return at + 1, ""


def _made_step(node: Node, part: Any, protocol: int) -> str | None:
    """The step from an object to a part of its `__reduce__` result, or None."""
    cls = type(node.value)
    if cls in copyreg.dispatch_table:
        source = ".copyreg()"
    elif _own(cls, "__reduce__") and not _own(cls, "__reduce_ex__"):
        source = ".__reduce__()"
    else:
        source = f".__reduce_ex__({protocol})"
    for n, made in enumerate(node.reduced):
        if made is part:
            return f"{source}[{n}]"
        if n in (1, 3) and made is not None:
            at = next((at for at, item in enumerate(made) if item is part), None)
            if at is not None:
                return f"{source}[1][{at}]" if n == 1 else f"[{at}]"
        for key, item in made or () if n == 4 else ():
            if item is part or key is part:
                return f"[{_key(key)}]" if item is part else f".key({_key(key)})"
    rest = node.reduced[1][1:] if node.reduced else ()  # the arguments without the class
    is_rest = type(part) is tuple and len(part) == len(rest) and all(map(is_, part, rest))
    return f"{source}[1][1:]" if is_rest else None


def _key(key: Any) -> str:
    return shown(key, MOST_SHOWN, inert=True)


def _own(cls: type, name: str) -> bool:
    return defined(cls, name) is not vars(object)[name]
