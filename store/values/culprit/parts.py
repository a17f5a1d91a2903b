"""What an object is pickled from: its parts, each with the step that leads to it.

The order of the questions is the Pickler's own: built-in containers, functions and classes, `copyreg`, then
`__reduce_ex__`. https://docs.python.org/3/library/pickle.html#pickling-class-instances
"""

from __future__ import annotations

import copyreg
import os
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from types import (
    CellType,
    CodeType,
    EllipsisType,
    FunctionType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    NoneType,
    NotImplementedType,
)
from typing import Any, NamedTuple

# Exactly these have no parts. They are told apart by type, so that a list of a million numbers costs little.
ATOMS = frozenset(
    {int, str, float, bool, bytes, bytearray, complex, NoneType, EllipsisType, NotImplementedType}
)  # fmt: skip
ITEMS = ("[{}]", ".key({})", ".member({})")  # the forms of what a container holds
MOST_ITEMS = 2_000_000  # of an iterator that a __reduce__ returned: it may have no end
_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: a class statement made it
_INSTALLED = frozenset({"site-packages", "dist-packages"})
_MISSING = object()


class Way(NamedTuple):
    """How a codec goes about it: pickle's protocol, and whether it stores functions without a name by value."""

    protocol: int
    by_value: Callable[[], bool]
    atoms: bool = False  # whether the parts without parts are wanted, instead of the others


# A part, and the way to it: the text of the step, where {} stands for the key as shown; the key; and whether the
# object may have the part as an attribute too, which reads better. (A plain tuple: there may be millions.)
Part = tuple[Any, str, Any, bool]


def parts(value: Any, way: Way) -> list[Part]:
    """The parts that pickling `value` would go into; none where it has none, or asking for them failed."""
    try:
        found = _parts(value, way)
        return [part for part in found if (type(part[0]) in ATOMS) is way.atoms]
    except Exception:  # the program's own code was asked, and may raise anything
        return []


def is_global(value: Any) -> bool:
    """Whether it is a function or a class. Not by `isinstance`, which asks the object for its `__class__`."""
    return issubclass(type(value), FunctionType | type)


def importable(value: Any) -> bool:
    """Whether the name of a function or a class leads to it, so that a name is all that is stored."""
    try:
        found: Any = sys.modules[value.__module__]
        for name in value.__qualname__.split("."):
            found = getattr(found, name)
    except Exception:
        return False
    return found is value


def own_method(cls: type, name: str) -> bool:
    """Whether a class, or a base of it, has a method of its own in place of `object`'s."""
    for base in cls.__mro__:
        if name in base.__dict__:
            return base is not object
    return False


def reduces_itself(cls: type) -> bool:
    """Whether the class itself, and no base of it, says what it comes back as."""
    return "__reduce__" in vars(cls) or "__reduce_ex__" in vars(cls) or cls in copyreg.dispatch_table


def is_users(cls: type) -> bool:
    """Whether a class is the program's: made by a class statement, neither the library's nor installed."""
    module = cls.__module__
    if type(module) is not str or not cls.__flags__ & _HEAP_TYPE:
        return False
    if module.partition(".")[0] in sys.stdlib_module_names:
        return False
    file = str(getattr(sys.modules.get(module), "__file__", None))
    if not _INSTALLED.isdisjoint(file.split(os.sep)):  # of this environment, or of one that it is based on
        return False
    return not file.startswith(tuple(sysconfig.get_paths()[kind] for kind in ("purelib", "platlib")))


def _parts(value: Any, way: Way) -> Iterable[Part]:
    cls = type(value)
    if cls in ATOMS:
        return ()
    if cls is list or cls is tuple:
        return ((item, "[{}]", n, False) for n, item in enumerate(tuple(value)))
    if cls is dict:
        return _items(list(value.items()))
    if cls is set or cls is frozenset:
        return ((member, ".member({})", member, False) for member in tuple(value))
    if is_global(value):
        named = importable(value) and value.__module__ != "__main__"
        if named or not way.by_value():
            return ()
        return _of_function(value) if cls is FunctionType else _of_class(value)
    if cls in _WRAPPERS and way.by_value():
        return _WRAPPERS[cls](value)
    return _of_object(value, cls, way.protocol)


def _items(pairs: Iterable[tuple[Any, Any]], prefix: str = "", attribute: bool = False) -> Iterator[Part]:
    for key, item in pairs:
        yield key, prefix + ".key({})", key, False
        yield item, prefix + "[{}]", key, attribute


def _of_object(value: Any, cls: type, protocol: int) -> Iterator[Part]:
    registered = copyreg.dispatch_table.get(cls)
    if registered is not None:
        reduced, source = registered(value), ".copyreg()"
    else:
        reduced = value.__reduce_ex__(protocol)
        plain = own_method(cls, "__reduce_ex__") or not own_method(cls, "__reduce__")
        source = f".__reduce_ex__({protocol})" if plain else ".__reduce__()"
    if not isinstance(reduced, tuple) or not 2 <= len(reduced) <= 6 or not isinstance(reduced[1], tuple):
        return  # a global's name; or nonsense, and then the object itself is at fault
    function, args, *rest = reduced
    state, items, pairs, setter = [*rest, None, None, None, None][:4]
    yield function, source + "[0]", None, False
    for n, arg in enumerate(args):
        yield arg, source + "[1][{}]", n, True
    standard = registered is None and not own_method(cls, "__reduce_ex__") and not own_method(cls, "__reduce__")
    yield from _of_state(state, *_state_source(cls, source, standard))
    yield from ((item, "[{}]", n, False) for n, item in enumerate(islice(items or (), MOST_ITEMS)))
    yield from _items(islice(pairs or (), MOST_ITEMS))
    if setter is not None:
        yield setter, source + "[5]", None, False


def _state_source(cls: type, source: str, standard: bool) -> tuple[str, str, str]:
    """How to call a state: the whole, its dict, and its dict of slots."""
    if standard and not own_method(cls, "__getstate__"):
        return source + "[2]", ".__dict__", ".__slots__"
    whole = ".__getstate__()" if standard else source + "[2]"
    return whole, whole, whole + "[1]"


def _of_state(state: Any, whole: str, fields: str, slots: str) -> Iterator[Part]:
    if type(state) is dict:
        yield from _items(list(state.items()), fields, True)
    elif type(state) is tuple and len(state) == 2 and type(state[0]) in (dict, NoneType) and type(state[1]) is dict:
        first = fields if fields == ".__dict__" else fields + "[0]"
        yield from _items(list((state[0] or {}).items()), first, True)
        yield from _items(list(state[1].items()), slots, True)
    elif state is not None:
        yield state, whole, None, True


def _of_function(function: FunctionType) -> Iterator[Part]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        content = _content(cell)
        if content is not _MISSING:
            yield content, ".__closure__[{}]", name, False
    for n, default in enumerate(function.__defaults__ or ()):
        yield default, ".__defaults__[{}]", n, False
    for name, default in (function.__kwdefaults__ or {}).items():
        yield default, ".__kwdefaults__[{}]", name, False
    for name in _globals_used(function.__code__):
        if name in function.__globals__:
            yield function.__globals__[name], ".__globals__[{}]", name, False
    yield from _items(list(function.__dict__.items()), ".__dict__", True)
    for name, note in function.__annotations__.items():
        yield note, ".__annotations__[{}]", name, False


def _globals_used(code: CodeType) -> list[str]:
    """The globals that a function's code names, that of the functions inside it too."""
    import dis  # needed after a failure alone

    found: dict[str, None] = {}
    codes = [code]
    while codes:
        code = codes.pop()
        codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
        for instruction in dis.get_instructions(code):
            if instruction.opname.endswith("_GLOBAL"):
                found[instruction.argval] = None
    return list(found)


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # empty: the name is not bound yet
        return _MISSING


def _of_class(cls: type) -> Iterator[Part]:
    for n, base in enumerate(cls.__bases__):
        yield base, ".__bases__[{}]", n, False
    yield type(cls), ".__class__", None, False
    for name, member in list(vars(cls).items()):
        # The class statement makes these anew: slots, __dict__ and __weakref__, and the caches of an ABC.
        if not isinstance(member, MemberDescriptorType | GetSetDescriptorType) and not name.startswith("_abc_"):
            yield member, ".__dict__[{}]", name, True


def _of_property(value: property) -> Iterator[Part]:
    for name in ("fget", "fset", "fdel"):
        yield getattr(value, name), "." + name, None, False


# What codecs that pickle by value go into, and pickle cannot.
_WRAPPERS: dict[type, Callable[[Any], Iterable[Part]]] = {
    property: _of_property,
    staticmethod: lambda value: [(value.__func__, ".__func__", None, False)],
    classmethod: lambda value: [(value.__func__, ".__func__", None, False)],
    CellType: lambda value: [(_content(value), ".cell_contents", None, False)],
    MappingProxyType: lambda value: _items(list(value.items())),
}
