"""The key of a call: the function and its bound arguments, as the name of a record.

A name is `module:qualified name:` and 64 hexadecimal digits, so that the results of a function have a common prefix.
The digits are the BLAKE2b-256 of the canonical form (see `store.memo.canonical.form`) of function, version, code and
arguments. Defaults are filled in: f(1) and f(x=1) have one key.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from hashlib import blake2b
from types import FunctionType
from typing import Any

from store.memo.canonical.code import bare_form
from store.memo.canonical.form import Definition, canonical
from store.memo.canonical.names import name_of
from store.memo.canonical.writer import DIGEST_BYTES

FORMAT = 2  # the version of keys, and a part of each one on disk


class CallKey:
    """Makes the names of records from the calls of one function. Safe across threads."""

    def __init__(
        self,
        fn: Callable[..., Any],
        *,
        name: str | None = None,
        version: Any = None,
        source: bool = True,
        ignore: str | Iterable[str] = (),
        key: Callable[..., Any] | None = None,
        prefix: str | None = None,
    ) -> None:
        if name is not None and not isinstance(name, str):
            raise TypeError(f"name is a text that stands for the function, not {name!r:.80}")
        self.label = getattr(fn, "__qualname__", None) or repr(fn)  # its name in messages
        self.prefix = prefix or f"{name or _identity(fn)}:"
        self._signature = inspect.signature(fn)
        self._names = {parameter: canonical(parameter) for parameter in self._signature.parameters}
        self._ignore = _names(ignore)
        self._key = key
        self._check_ignore()
        self.version, self.source = _version(version), source
        code = _lambda(fn) if name is None and not source else None
        self._head = canonical(("memo", FORMAT, self.prefix, self.version, source, code))
        lenient = version is not None
        self._definitions = [Definition(fn, self.label, lenient=lenient)] if source else []
        if source and key is not None:
            self._definitions.append(Definition(key, f"{self.label}: the function of key=", lenient=lenient))

    def of(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """The name of a call's record. Raises: TypeError: an argument is wrong, or has no canonical form."""
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as exc:
            raise TypeError(f"{self.label}(): {exc}") from None
        bound.apply_defaults()
        head = self._head + b"".join([one.form() for one in self._definitions])
        form = head + (self._own_key(bound) if self._key is not None else self._arguments(bound))
        return self.prefix + blake2b(form, digest_size=DIGEST_BYTES).hexdigest()

    def _own_key(self, bound: inspect.BoundArguments) -> bytes:
        assert self._key is not None
        try:
            return canonical(self._key(*bound.args, **bound.kwargs))
        except TypeError as exc:
            raise TypeError(f"{self.label}(): what key= makes of its arguments cannot be a key: {exc}") from exc

    def _arguments(self, bound: inspect.BoundArguments) -> bytes:
        form = bytearray()
        for name, value in sorted(bound.arguments.items()):
            if name in self._ignore:
                continue
            if self._signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
                for keyword, one in sorted(value.items()):
                    if keyword not in self._ignore:
                        form += canonical(("**", keyword)) + self._form(keyword, one)
            else:
                form += self._names[name] + self._form(name, value)
        return bytes(form)

    def _form(self, name: str, value: Any) -> bytes:
        try:
            return canonical(value)
        except TypeError as exc:
            own = ", give its class a method __memo_key__()" if name in ("self", "cls") else ""
            raise TypeError(
                f"{self.label}(): the argument {name!r} cannot be part of a key: {exc}. Leave it out with "
                f"ignore=({name!r},) if the result does not depend on it{own}, or make a key of the arguments "
                "yourself with key="
            ) from exc

    def _check_ignore(self) -> None:
        if self._key is not None and self._ignore:
            raise ValueError(f"{self.label}: ignore= has no effect beside key=, which makes the whole key; give one")
        if self._key is not None and not callable(self._key):
            raise TypeError(f"{self.label}: key is a function of the arguments, not {self._key!r:.80}")
        parameters = self._signature.parameters
        unknown = sorted(self._ignore - set(parameters))
        if unknown and not any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values()):
            raise ValueError(f"{self.label} has no parameter {unknown[0]!r} that ignore= could leave out")


def _identity(fn: Callable[..., Any]) -> str:
    """Module and qualified name of a function, the same in every process."""
    module, name = getattr(fn, "__module__", None), getattr(fn, "__qualname__", None)
    if not module or not name:
        raise TypeError(f"{fn!r:.80} has no name by which another process could know it; give it one with name=")
    return name_of(fn)


def _names(ignore: Any) -> frozenset[str]:
    names = (ignore,) if isinstance(ignore, str) or not isinstance(ignore, Iterable) else tuple(ignore)
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"ignore is names of parameters, not {ignore!r:.80}")
    return frozenset(names)


def _version(version: Any) -> bytes:
    try:
        return canonical(version)
    except TypeError as exc:
        raise TypeError(f"version cannot be part of a key: {exc}; a number or a text will do") from exc


def _lambda(fn: Callable[..., Any]) -> bytes | None:
    """The code of a lambda, since all lambdas of a module share one name; None for other functions."""
    if isinstance(fn, FunctionType) and fn.__name__ == "<lambda>":
        return bare_form(fn.__code__)
    return None
