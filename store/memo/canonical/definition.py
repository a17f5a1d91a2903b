"""What a memoized function is, as part of the keys of its calls: its code, and what it uses beside its arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any

from store.memo.canonical.checks import Check
from store.memo.canonical.form import FORMS
from store.memo.canonical.functions import CodeWriter, UnkeyedError, write_function


class Definition:
    """The canonical form of a function, which is made anew when something that it uses was set anew.

    Variables of enclosing functions must be such that they can be told apart, which is checked at once; `lenient`
    takes those that cannot by their type. Safe across threads.
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
        writer = CodeWriter(
            FORMS, getattr(self._inner, "__globals__", {}).get("__name__"),
            bound=self._inner, lenient=self._lenient, frozen=self._frozen, globals_too=globals_too,
        )  # fmt: skip
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
