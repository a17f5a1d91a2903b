"""Pickle, protocols 0 to 5: the built-in codec, and the stdlib module's own names with a safe default.

    from store.codecs import pickle

    pickle.loads(data)                   # plain data, standard types, classes declared with store.allow
    pickle.loads(data, allow=[User])     # and these
    pickle.loads(data, trust="all")      # the stdlib's behaviour and speed: runs what the bytes say

All functions and classes that write are those of the stdlib. Format: PEP 307, 3154, 574 and
https://docs.python.org/3/library/pickle.html
"""

from __future__ import annotations

import pickle as _stdlib
from collections.abc import Callable, Iterable
from pickle import (
    DEFAULT_PROTOCOL,
    HIGHEST_PROTOCOL,
    PickleBuffer,
    PickleError,
    Pickler,
    PicklingError,
    UnpicklingError,
    dump,
    dumps,
)
from types import BuiltinMethodType
from typing import IO, TYPE_CHECKING, Any

from store.classes.allowlist import allowed
from store.codecs.pickle.codec import PickleCodec as PickleCodec
from store.codecs.pickle.codec import as_bytes, machine_for, run_machine
from store.codecs.pickle.codec import codec as codec
from store.errors import Untrusted

if TYPE_CHECKING:
    from store.codecs.restricted.machine import Machine

__all__ = [
    "dump", "dumps", "load", "loads", "Pickler", "Unpickler", "PickleBuffer", "HIGHEST_PROTOCOL",
    "DEFAULT_PROTOCOL", "PickleError", "PicklingError", "UnpicklingError",
]  # fmt: skip


class Unpickler(_stdlib.Unpickler):
    """The stdlib's `Unpickler`, limited to plain data, standard types and allowed classes.

    With `trust="all"` it behaves as the stdlib's. Otherwise the restricted decoder does the work. A subclass may
    override `find_class` and `persistent_load`: this is code of the program, so objects that its `find_class` returns
    may be called.

    Raises:
        Untrusted: the pickle names another class. Corrupt: malformed. EOFError: nothing is left to read.
    """

    def __init__(
        self,
        file: IO[bytes],
        *,
        fix_imports: bool = True,
        encoding: str = "ASCII",
        errors: str = "strict",
        buffers: Iterable[Any] | None = None,
        trust: str = "data",
        allow: Iterable[type | str] = (),
    ) -> None:
        super().__init__(file, fix_imports=fix_imports, encoding=encoding, errors=errors, buffers=buffers)
        self._machine: Machine | None = None
        if not _is_all(trust):
            self._machine = machine_for(
                file, allow=allowed(allow), buffers=buffers, fix_imports=fix_imports, encoding=encoding, errors=errors
            )

    def find_class(self, module: str, name: str, /) -> Any:
        """The global called `module.name`."""
        if self._machine is None:
            return super().find_class(module, name)
        return self._machine.names.found_by_us(module, name).value

    def load(self) -> Any:
        """The next value of the file."""
        machine = self._machine
        if machine is None:
            return super().load()
        if type(self).find_class is not Unpickler.find_class:
            machine.names.find = _passing(self.find_class)
        load = getattr(self, "persistent_load", None)
        if load is not None and not (isinstance(load, BuiltinMethodType) and load.__self__ is self):
            machine.stack.persistent_load = _passing(load)
        return _run_alone(machine)


def load(
    file: IO[bytes],
    *,
    fix_imports: bool = True,
    encoding: str = "ASCII",
    errors: str = "strict",
    buffers: Iterable[Any] | None = None,
    trust: str = "data",
    allow: Iterable[type | str] = (),
) -> Any:
    """The next pickle of `file`; successive calls read successive pickles. `trust` and `allow` as for `Unpickler`."""
    options: dict[str, Any] = {
        "fix_imports": fix_imports, "encoding": encoding, "errors": errors, "buffers": buffers,
    }  # fmt: skip
    if _is_all(trust):
        return _stdlib.load(file, **options)
    return Unpickler(file, **options, allow=allow).load()


def loads(
    data: Any,
    /,
    *,
    fix_imports: bool = True,
    encoding: str = "ASCII",
    errors: str = "strict",
    buffers: Iterable[Any] | None = None,
    trust: str = "data",
    allow: Iterable[type | str] = (),
) -> Any:
    """The value in the bytes; bytes after its end are ignored, as by the stdlib."""
    options: dict[str, Any] = {
        "fix_imports": fix_imports, "encoding": encoding, "errors": errors, "buffers": buffers,
    }  # fmt: skip
    if _is_all(trust):
        return _stdlib.loads(data, **options)
    return _run_alone(machine_for(as_bytes(data), allow=allowed(allow), **options))


def _is_all(trust: str) -> bool:
    if trust not in ("data", "all"):
        raise ValueError(f'trust is "data" or "all" here, not {trust!r}')
    return trust == "all"


class _FromProgram(BaseException):
    """Carries an error of the program's `find_class` or `persistent_load` past the handlers of the decoder."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


def _passing(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        try:
            return function(*args)
        except Exception as exc:
            raise _FromProgram(exc) from exc

    return call


def _run_alone(machine: Machine) -> Any:
    """The value of bytes outside of a record: there is no seal, and `store admit` does not apply."""
    try:
        try:
            return run_machine(machine)
        except _FromProgram as exc:
            raise exc.error from None
    except Untrusted as exc:
        allow = f". If that is a class of yours, put @store.allow above it, or pass allow=[{exc.missing!r}]"
        exc.message = (
            f'{exc.reason}{allow if exc.allowable else ""}; trust="all" runs any code that the bytes name: use it '
            "only if you trust their author"
        )
        exc.args = (exc.message,)
        raise
