"""Canonical forms of functions: their code, and the values that they use beside their arguments.

These are `__wrapped__`, the variables of enclosing functions, defaults, functions and classes of the same module, and
constants of the module. Imported functions and classes count by their names.
"""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable, Iterator
from enum import Enum
from types import (
    BuiltinFunctionType,
    CellType,
    ClassMethodDescriptorType,
    FunctionType,
    GenericAlias,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    UnionType,
    WrapperDescriptorType,
)
from typing import Any, TypeAlias, cast

from store.memo.canonical.code import MUTATORS, CodeFacts, facts_of
from store.memo.canonical.names import is_known, name_of
from store.memo.canonical.writer import ATOMS, Form, Writer, described

DESCRIPTORS = (
    ClassMethodDescriptorType, GetSetDescriptorType, MemberDescriptorType, MethodDescriptorType, MethodWrapperType,
    WrapperDescriptorType,
)  # fmt: skip
REDUCED = (operator.itemgetter, operator.attrgetter, operator.methodcaller)
MISSING: Any = object()

Check: TypeAlias = Callable[[], bool]
"""Tells in a few instructions whether something that a function uses is still the same object."""


class CodeWriter(Writer):
    """A writer that follows a function of a module into what it uses.

    `bound` is the function whose defaults come with the arguments. `lenient`: values that have no form count by their
    type. `frozen` has the forms of variables that the function changes itself, as they were at first. The `checks`
    are all true as long as the same would be written again.
    """

    def __init__(
        self,
        forms: tuple[Form, ...],
        bound: Any,
        *,
        lenient: bool,
        frozen: dict[tuple[int, str], tuple[Any, bytes]],
        globals_too: bool,
    ) -> None:
        super().__init__(forms, functions=True)
        self.module: str | None = getattr(bound, "__globals__", {}).get("__name__")
        self.bound = bound
        self.lenient = lenient
        self.frozen = frozen
        self.globals_too = globals_too
        self.checks: list[Check] = []

    def is_at_home(self, function: Any) -> bool:
        """Whether it is a function of that module, whose variables may be copies in another process."""
        variables = getattr(function, "__globals__", None)
        return variables is not None and variables.get("__name__") == self.module

    def value(self, what: str, value: Any) -> None:
        """A value that a function uses; `what` describes it. Raises: UnkeyedError: it has no form."""
        if not is_constant(value):
            self.checks.append(bool)  # never true
        try:
            self.write(value)
        except TypeError as exc:
            if not self.lenient:
                raise UnkeyedError(what, str(exc)) from exc
            self.text("object", described(value))

    def state(self, owner: Any, what: str, value: Any) -> None:
        """A value that the function changes while it runs: what counts is what it was at first."""
        key = id(owner), what
        if key not in self.frozen:
            checks = len(self.checks)
            with self.apart(knowing_seen=False) as out:
                self.value(what, value)
                self.frozen[key] = owner, bytes(out)
            del self.checks[checks:]
        self.out += self.frozen[key][1]


def cell_value(cell: CellType) -> Any:
    """What a variable of an enclosing function holds; MISSING: nothing yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


def _same_function(fn: FunctionType) -> Check:
    code, defaults, keyword_defaults = fn.__code__, fn.__defaults__, fn.__kwdefaults__
    return lambda: fn.__code__ is code and fn.__defaults__ is defaults and fn.__kwdefaults__ is keyword_defaults


def _same_cell(cell: CellType, value: Any) -> Check:
    return lambda: cell_value(cell) is value


def _same_global(variables: dict[str, Any], name: str, value: Any) -> Check:
    return lambda: variables.get(name, MISSING) is value


class UnkeyedError(TypeError):
    """A function uses a value that cannot be part of a key."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what} cannot be part of a key: {why}")


def write_callable(writer: Writer, value: Any) -> bool:
    """Write a function, or another object that code refers to, where these have a form; whether it was one."""
    if not writer.functions:
        return False
    if isinstance(value, FunctionType):
        write_function(writer, value)
    elif isinstance(value, ModuleType):
        writer.text("module", value.__name__)
    elif hasattr(type(value), "__memo_parts__"):
        _write_around(writer, value, "memoized", value.__memo_parts__)
    elif isinstance(value, BuiltinFunctionType):
        owner = None if isinstance(value.__self__, ModuleType) else value.__self__
        writer.sequence("builtin", (value.__module__, value.__qualname__, owner))
    elif isinstance(value, DESCRIPTORS):
        writer.text("descriptor", value.__name__)
    else:
        return _write_holder(writer, value)
    return True


def _write_around(writer: Writer, value: Any, tag: str, parts: Callable[[], tuple[Any, ...]]) -> None:
    """An object around a function."""
    if _is_imported(writer, value):
        writer.text("function", name_of(value))
    elif not writer.is_repeated(value):
        writer.sequence(tag, parts())


def _is_imported(writer: Writer, function: Any) -> bool:
    """Whether a function counts by its name. Those of the followed module do not, also inside of a wrapper."""
    try:
        inner = inspect.unwrap(function)
    except ValueError:  # around itself
        inner = function
    return is_known(function) and not (isinstance(writer, CodeWriter) and writer.is_at_home(inner))


def _write_holder(writer: Writer, value: Any) -> bool:
    """Objects around functions."""
    kind = type(value).__name__
    if isinstance(value, MethodType):
        writer.sequence(kind, (value.__func__, value.__self__))
    elif isinstance(value, functools.partial):
        if not writer.is_repeated(value):
            writer.sequence("partial", (type(value), value.func, value.args, value.keywords))
    elif isinstance(value, staticmethod | classmethod):
        writer.sequence(kind, (value.__func__,))
    elif isinstance(value, property):
        writer.sequence(kind, (value.fget, value.fset, value.fdel))
    elif isinstance(value, functools.cached_property):
        writer.sequence(kind, (value.func,))
    elif isinstance(value, REDUCED):
        writer.sequence(kind, cast(Any, value.__reduce__())[1:])
    elif _is_wrapper(value):
        _write_around(writer, value, "wrapper", lambda: (type(value), value.__wrapped__))
    elif isinstance(value, GenericAlias | UnionType) or type(value).__module__ == "typing":
        writer.text("type", repr(value))
    elif kind == "Logger" and type(value).__module__ == "logging":
        writer.text("logger", value.name)
    else:
        return False
    return True


def _is_wrapper(value: Any) -> bool:
    """Whether it is an object around a function, as `functools.lru_cache` makes."""
    try:
        return callable(value) and "__wrapped__" in object.__getattribute__(value, "__dict__")
    except AttributeError:
        return False


def write_function(writer: Writer, fn: FunctionType, *, by_name: bool = True) -> None:
    """A function by its name if it was imported, else by its code and what it uses."""
    if by_name and _is_imported(writer, fn):
        writer.text("function", name_of(fn))
    elif not writer.is_repeated(fn):
        facts = facts_of(fn)
        writer.atom("code", facts.digest)
        if isinstance(writer, CodeWriter):
            writer.checks.append(_same_function(fn))
            _write_uses(writer, fn, facts)
        else:
            values = [(name, cell_value(cell)) for name, cell in _cells(fn)]
            held = [(name, value) for name, value in values if value is not MISSING]
            writer.sequence("uses", (fn.__defaults__, fn.__kwdefaults__, held))
        if hasattr(fn, "__wrapped__"):
            writer.sequence("wrapped", (fn.__wrapped__,))
        if isinstance(writer, CodeWriter) and writer.globals_too and writer.is_at_home(fn):
            _write_globals(writer, fn, facts)


def _cells(fn: FunctionType) -> list[tuple[str, CellType]]:
    return list(zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True))


def _write_uses(writer: CodeWriter, fn: FunctionType, facts: CodeFacts) -> None:
    """Defaults and variables of enclosing functions."""
    if fn is not writer.bound:
        for name, default in _defaults(fn):
            _write_use(writer, fn, f"the default of {name!r}", default, own=name in facts.changes)
    for name, cell in sorted(_cells(fn)):
        value = cell_value(cell)
        own = name in facts.changes or (isinstance(value, BuiltinFunctionType) and value.__name__ in MUTATORS)
        if not own or callable(value):
            writer.checks.append(_same_cell(cell, value))
        writer.text("variable", name)
        if value is MISSING:
            continue
        if name == "__class__":  # for super(); the class counts where it is an argument
            writer.text("class", name_of(value))
        else:
            _write_use(writer, cell, f"the variable {name!r} of an enclosing function", value, own=own)


def _write_use(writer: CodeWriter, owner: Any, what: str, value: Any, *, own: bool) -> None:
    if own and (not callable(value) or isinstance(value, BuiltinFunctionType)):
        writer.state(owner, what, value)
    else:
        writer.value(what, value)


def _defaults(fn: FunctionType) -> Iterator[tuple[str, Any]]:
    values = fn.__defaults__ or ()
    names = fn.__code__.co_varnames[: fn.__code__.co_argcount]
    yield from zip(names[len(names) - len(values) :], values, strict=True)
    yield from sorted((fn.__kwdefaults__ or {}).items())


def _write_globals(writer: CodeWriter, fn: FunctionType, facts: CodeFacts) -> None:
    """Constants of the module by value, its functions and classes by code. Other objects of it do not count."""
    for name in sorted(facts.reads):
        value = fn.__globals__.get(name, MISSING)
        own = name in facts.changes and not callable(value)
        if not own:
            writer.checks.append(_same_global(fn.__globals__, name, value))
        if value is MISSING or own:
            continue
        writer.text("global", name)
        if not is_constant(value):
            writer.text("object", described(value))
            continue
        lenient, writer.lenient = writer.lenient, True
        try:
            writer.value(name, value)
        finally:
            writer.lenient = lenient


def is_constant(value: Any) -> bool:
    """Whether it can never change. Functions and classes can, and have checks of their own."""
    kind = type(value)  # not `value.__class__`, by which a proxy, such as Django's settings, claims to be another one
    if kind in (tuple, frozenset) or (issubclass(kind, tuple) and hasattr(kind, "_fields")):
        return all(map(is_constant, value))
    if issubclass(kind, functools.partial):
        return is_constant((value.func, value.args, *value.keywords.values()))
    if kind is MethodType:
        return is_constant(value.__self__)
    return (
        kind in ATOMS
        or kind.__module__ in ("datetime", "re", "pathlib", "pathlib._local", "fractions")
        or kind in (range, slice)
        or issubclass(kind, Enum | type | ModuleType | FunctionType)
        or hasattr(kind, "__memo_parts__")
        or _is_wrapper(value)
        or (kind is BuiltinFunctionType and isinstance(value.__self__, ModuleType | type | None))
    )
