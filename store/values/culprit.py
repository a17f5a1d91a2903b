"""Finds the part of a value that cannot be stored, after storing the whole value has failed.

The value is pickled again by a Python pickler that tracks the chain of objects it is in: the object at which it fails
is the culprit. `path.py` turns the chain into an expression such as `value['conn'].pool[3].socket`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from itertools import islice
from typing import Any

from store.codecs.pickle.based import Pickled
from store.errors import NotSerializable
from store.values.path import ATOMS, Node, chain_to, steps_to
from store.values.remedies import Culprit, cause_of, explain, is_users, remedy, too_deep

MOST_PARTS = 1_000_000  # objects that are visited; an object may create new ones endlessly
MOST_PROBES = 2_000  # objects that are encoded and decoded separately
MOST_DEEP = 80  # nesting that is pickled by recursion; deeper objects are pickled afterwards
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


class _Tracer:
    """A mixin for a Python pickler class. `failed` is the innermost object that raised."""

    failed: Node | None = None
    _error: Exception | None = None

    def trace(self, value: Any, probe: Attempt | None) -> None:
        """Pickle the value, and pass each finished object to `probe`. Raises: any error of either, _Spent."""
        self._probe, self._depth = probe, 0
        self._parts = self._probes = 0
        self._node: Node | None = None
        self._later = [Node(None, value)]
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
        if kind in ATOMS or (kind is int and -_LARGE < value < _LARGE):
            return
        above = self._node
        node = self._node = Node(above, value)
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

    def _try(self, node: Node) -> None:
        assert self._probe is not None
        self._probes += 1
        if self._probes > MOST_PROBES:
            raise _Spent
        self._probe(node.value)


def _culprit(node: Node, error: Exception, protocol: int, attempt: Attempt) -> Culprit:
    for above in chain_to(node)[-3:-1]:
        if node.value is type(above.value) and node.value.__flags__ & _IMMUTABLE_TYPE:
            node = above  # protocols 0 and 1 report the class of an object of a C type
            break
    steps = steps_to(node, protocol)
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
