"""Finds the part of a value that cannot be stored, after storing the whole value has failed.

The value is pickled again by a Python pickler that tracks the chain of objects it is in: the object at which it fails
is the culprit. `path.py` turns the chain into an expression such as `value['conn'].pool[3].socket`.
"""

from __future__ import annotations

import copyreg
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from itertools import islice
from keyword import iskeyword
from operator import is_
from types import CodeType, FunctionType
from typing import Any

from store.classes.attributes import attributes_of, defined
from store.classes.shown import shown
from store.codecs.pickle.based import Pickled
from store.errors import NotSerializable
from store.values.remedies import Culprit, cause_of, explain, is_users, remedy, too_deep

MOST_PARTS = 1_000_000  # objects that are visited; an object may create new ones endlessly
MOST_PROBES = 2_000  # objects that are encoded and decoded separately
MOST_DEEP = 80  # nesting that is pickled by recursion; deeper objects are pickled afterwards
MOST_WAYS = 1000  # objects that are searched for a path from one object to another
MOST_SHOWN = 80  # characters of a key
_ATOMS = frozenset({str, float, bool, bytes, bytearray, complex, type(None), type(...), type(NotImplemented)})
_CONTAINERS: tuple[Any, ...] = (list, tuple, dict, set, frozenset)
_WRAPPERS: dict[type, tuple[str, ...]] = {
    property: ("fget", "fset", "fdel"), staticmethod: ("__func__",), classmethod: ("__func__",),
}  # fmt: skip
_IMMUTABLE_TYPE = 1 << 8  # Py_TPFLAGS_IMMUTABLETYPE: no class statement made it
_LARGE = 1 << 64  # an int that a protocol may not be able to hold

Attempt = Callable[[Any], object]
"""Encodes a part by itself, and raises the error if it cannot."""


def error_for(
    error: Exception, value: Any, codec: Pickled, protocol: int, attempt: Attempt
) -> NotSerializable | None:
    """The error for a value that could not be stored; None if it now can be. Raises: as `find`."""
    found = find(value, cause_of(error), codec.pickler, protocol, attempt)
    if found is None:
        return None
    what_to_do = remedy(found, codec.name, lambda library: find_spec(library) is not None)
    return NotSerializable(f"{explain(found)}; {what_to_do}", path=found.path)


def find(value: Any, error: Exception, pickler: Any, protocol: int, attempt: Attempt) -> Culprit | None:
    """The innermost part that cannot be stored; None if all parts now can be.

    `error` is the error of storing the whole value, `pickler` the codec's Python pickler class. If pickling the parts
    does not fail, each object is passed to `attempt`, innermost first.

    Raises:
        MemoryError: pickling or storing a part raised it.
    """
    if too_deep(error):
        return Culprit("value", value, error)
    tracer = type("Tracer", (_Tracer, pickler), {"__module__": pickler.__module__})
    for probe in (None, attempt):
        trace = tracer(_Nowhere(), protocol)
        try:
            trace.trace(value, probe)
        except MemoryError:
            raise
        except _Spent:
            return Culprit("value", value, error)
        except Exception as exc:
            found = trace.failed
            return None if found is None else _culprit(found, cause_of(exc), protocol, attempt)
    return Culprit("value", value, error) if _error_of(value, attempt) is not None else None


class _Nowhere:
    def write(self, chunk: Any) -> None:
        """Discard the output."""


class _Spent(Exception):
    """The search visited too many objects."""


class _Node:
    """An object, and the object that holds it. `reduced` is the result of its `__reduce__`."""

    __slots__ = ("parent", "reduced", "value")

    def __init__(self, parent: _Node | None, value: Any) -> None:
        self.parent, self.value = parent, value
        self.reduced: tuple[Any, ...] = ()


class _Tracer:
    """A mixin for a Python pickler class. `failed` is the innermost object that raised."""

    failed: _Node | None = None
    _error: Exception | None = None

    def trace(self, value: Any, probe: Attempt | None) -> None:
        """Pickle the value, and pass each finished object to `probe`. Raises: any error of either, _Spent."""
        self._probe, self._depth = probe, 0
        self._parts = self._probes = 0
        self._node: _Node | None = None
        self._later = [_Node(None, value)]
        while self._later:
            node = self._later.pop()
            self._node, self._depth = node.parent, 0
            self.save(node.value)

    def save(self, value: Any, *args: Any, **options: Any) -> None:
        """As in the pickler, tracking the chain of objects."""
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise _Spent
        kind = type(value)
        if kind in _ATOMS or (kind is int and -_LARGE < value < _LARGE):
            return
        above = self._node
        node = self._node = _Node(above, value)
        self._depth += 1
        try:
            if self._depth > MOST_DEEP:
                self._later.append(node)
                return
            is_known = id(value) in self.memo  # type: ignore[attr-defined]
            super().save(value, *args, **options)  # type: ignore[misc]
            if self._probe is not None and node.reduced and not is_known:
                self._try(node)
        except Exception as exc:
            if self._error is None or self._error not in (exc, exc.__cause__, exc.__context__):
                self._error, self.failed = exc, node
            raise
        finally:
            self._node, self._depth = above, self._depth - 1

    def save_reduce(self, func: Any, args: Any, *others: Any, obj: Any = None, **options: Any) -> None:
        """As in the pickler, noting the arguments; iterators are copied to lists."""
        state, items, pairs = [*others, None, None, None][:3]
        items = options.pop("listitems", items)
        pairs = options.pop("dictitems", pairs)
        state = options.pop("state", state)
        items = None if items is None else list(islice(items, MOST_PARTS))
        pairs = None if pairs is None else list(islice(pairs, MOST_PARTS))
        if self._node is not None and self._node.value is obj:
            self._node.reduced = (func, args, state, items, pairs, *others[3:])
        given = None if items is None else iter(items), None if pairs is None else iter(pairs)
        super().save_reduce(func, args, state, *given, *others[3:], obj=obj, **options)  # type: ignore[misc]

    def _try(self, node: _Node) -> None:
        assert self._probe is not None
        self._probes += 1
        if self._probes > MOST_PROBES:
            raise _Spent
        self._probe(node.value)


def _culprit(node: _Node, error: Exception, protocol: int, attempt: Attempt) -> Culprit:
    for above in _chain(node)[-3:-1]:
        if node.value is type(above.value) and node.value.__flags__ & _IMMUTABLE_TYPE:
            node = above  # protocols 0 and 1 report the class of an object of a C type
            break
    steps = _steps(node, protocol)
    holders = [owner for owner, text in steps if _has_state(type(owner)) and _is_of_state(text)]
    path = "".join(("value", *(text for _, text in steps)))
    alone = cause_of(_error_of(node.value, attempt) or error)
    return Culprit(path, node.value, alone, type(holders[-1]) if holders else None)


def _error_of(value: Any, attempt: Attempt) -> Exception | None:
    """The error of storing a part by itself, or None."""
    try:
        attempt(value)
    except MemoryError:
        raise
    except Exception as exc:
        return exc
    return None


def _has_state(cls: type) -> bool:
    """Whether a class belongs to the program, and a `__getstate__` could leave out a part of its state."""
    return is_users(cls) and not issubclass(cls, tuple | type)


def _is_of_state(text: str) -> bool:
    """Whether a step leads to an attribute, rather than to an item or the class."""
    return text.startswith(".") and text != ".__class__" and not text.startswith((".key(", ".member("))


# -- the path


def _chain(node: _Node) -> list[_Node]:
    """The objects from the whole value to this one."""
    chain = [node]
    while chain[-1].parent is not None:
        chain.append(chain[-1].parent)
    return chain[::-1]


def _steps(node: _Node, protocol: int) -> list[tuple[Any, str]]:
    """The steps of the path, each with the object that it starts from.

    Objects made by `__reduce__` and `__getstate__` have no name in the program, but their parts may. A step therefore
    leads to the last object of the chain that its start holds directly.
    """
    chain, steps, at = _chain(node), [], 0
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
            if id(part) not in seen and type(part) not in _ATOMS:
                seen.add(id(part))
                ways.append((part, text))
    return at + 1, ""


def _made_step(node: _Node, part: Any, protocol: int) -> str | None:
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
