"""Canonical forms: of values, `canonical`, and of memoized functions, `Definition`.

    canonical({"b": 1, "a": 2}) == canonical({"a": 2, "b": 1})

A form is the same bytes for equal values in every process and run of Python. Each value is written as its type, a
length, and its content, so that no two different values have the same form. `store/memo/README.md` lists what counts
as equal. Values of other types (an open file, a function, an object of a class of the program, a value that contains
itself) have no form; nor have subclasses of a type with one, which may hold more.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any

from store.memo.canonical.arrays import write_numpy
from store.memo.canonical.classes import write_classed
from store.memo.canonical.functions import Check, CodeWriter, UnkeyedError, write_callable, write_function
from store.memo.canonical.science import write_scientific
from store.memo.canonical.writer import Form, Writer

FORMS: tuple[Form, ...] = (write_classed, write_numpy, write_scientific, write_callable)


def canonical(value: Any) -> bytes:
    """The canonical form of a value. Raises: TypeError: it has none; the message says which part of it."""
    writer = Writer(FORMS)
    try:
        writer.write(value)
    except RecursionError:
        raise TypeError("it is nested too deeply for a canonical form") from None
    return bytes(writer.out)


class Definition:
    """The canonical form of a function and of what it uses, which is made again after something of it was set.

    Variables of enclosing functions must have a form, which is checked at once; `lenient` takes those without one by
    their type. Safe across threads.
    """

    def __init__(self, fn: Callable[..., Any], label: str, *, lenient: bool) -> None:
        self._fn: Any = fn
        self._label = label
        self._lenient = lenient
        self._inner = inspect.unwrap(fn)
        self._frozen: dict[tuple[int, str], tuple[Any, bytes]] = {}
        self._known: tuple[list[Check], bytes] | None = None
        if not isinstance(fn, FunctionType) or fn.__closure__ or self._inner is not fn:
            self._write(globals_too=False)

    def form(self) -> bytes:
        """Raises: TypeError: a variable that had no value yet when the function was decorated has no form."""
        known = self._known
        if known is None or not all(check() for check in known[0]):
            writer = self._write(globals_too=True)
            known = self._known = writer.checks, bytes(writer.out)
        return known[1]

    def _write(self, *, globals_too: bool) -> CodeWriter:
        writer = CodeWriter(FORMS, self._inner, lenient=self._lenient, frozen=self._frozen, globals_too=globals_too)
        try:
            self._write_into(writer)
        except UnkeyedError as exc:
            raise TypeError(
                f"{self._label}: {exc}. Make it an argument of the function and leave it out with ignore=, or, if "
                "results do not depend on it, give the function a version=, and count that up when they change"
            ) from exc
        except RecursionError:
            raise TypeError(f"{self._label}: what it uses is nested too deeply for a key; use source=False") from None
        return writer

    def _write_into(self, writer: CodeWriter) -> None:
        if isinstance(self._fn, FunctionType):
            write_function(writer, self._fn, by_name=False)
            return
        call = type(self._fn).__call__  # it is an object of a class with this method
        if isinstance(call, FunctionType):
            write_function(writer, call, by_name=False)
        writer.value("the object that is called", self._fn)
