"""Pickle, protocols 0 to 5: the built-in codec, and the stdlib module's own names with a safe default.

    from store.codecs import pickle

    pickle.loads(data)                   # plain data, standard types, classes declared with store.allow
    pickle.loads(data, allow=[User])     # and these
    pickle.loads(data, trust="all")      # the stdlib's behaviour and speed: runs what the bytes say

Everything that writes is the stdlib's own object. Format: PEP 307, 3154, 574 and
https://docs.python.org/3/library/pickle.html
"""

from __future__ import annotations

import copyreg
import pickle as _stdlib
import sys
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

from store.classes.allowlist import Allowed, allowed
from store.classes.lookup import AS_WRITTEN, Lookup
from store.classes.moved import WORKER_MAIN, claim_main
from store.classes.placeholder import HoldsPlaceholder, with_placeholders
from store.codecs.pickle.pickled import Buffers, Pickled, undecodable
from store.codecs.pickle.pickled import loads as stdlib_loads
from store.errors import Corrupt, StoreError, Untrusted

if TYPE_CHECKING:
    from store.codecs.restricted.machine import Machine

_MODULES = sys.modules

__all__ = [
    "dump", "dumps", "load", "loads", "Pickler", "Unpickler", "PickleBuffer", "HIGHEST_PROTOCOL",
    "DEFAULT_PROTOCOL", "PickleError", "PicklingError", "UnpicklingError",
]  # fmt: skip


class Unpickler(_stdlib.Unpickler):
    """The stdlib's `Unpickler`, which makes nothing but plain data, standard types and what is allowed.

    With `trust="all"` it is the stdlib's, subclassable as ever. Else the restricted decoder does the work; what
    a subclass overrides, `find_class` and `persistent_load`, is the program's own code and is honoured: what
    its `find_class` returns may be called.

    Raises:
        Untrusted: the pickle names something else. Corrupt: malformed. EOFError: nothing is left to read.
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
            self._machine = _machine(
                file, allow=allowed(allow), buffers=buffers, fix_imports=fix_imports, encoding=encoding, errors=errors
            )

    def find_class(self, module: str, name: str, /) -> Any:
        """The global called `module.name`."""
        if self._machine is None:
            return super().find_class(module, name)
        return self._machine.found_by_us(module, name).value

    def load(self) -> Any:
        """The next value of the file."""
        machine = self._machine
        if machine is None:
            return super().load()
        if type(self).find_class is not Unpickler.find_class:
            machine.find = _passing(self.find_class)
        load = getattr(self, "persistent_load", None)
        if load is not None and not (isinstance(load, BuiltinMethodType) and load.__self__ is self):
            machine.persistent_load = _passing(load)
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
    """The next pickle of `file`; successive calls read successive ones. `trust` and `allow` as `Unpickler`."""
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
    """The value that the bytes hold; what follows its end is ignored, as the stdlib does."""
    options: dict[str, Any] = {
        "fix_imports": fix_imports, "encoding": encoding, "errors": errors, "buffers": buffers,
    }  # fmt: skip
    if _is_all(trust):
        return _stdlib.loads(data, **options)
    return _run_alone(_machine(_as_bytes(data), allow=allowed(allow), **options))


def _as_bytes(data: Any) -> bytes:
    """The bytes of any buffer. Raises: TypeError: it is none."""
    if type(data) is bytes:
        return data
    with memoryview(data) as view:
        return bytes(view)


def _is_all(trust: str) -> bool:
    if trust not in ("data", "all"):
        raise ValueError(f'trust is "data" or "all" here, not {trust!r}')
    return trust == "all"


class _Noting(dict[type, Any]):
    """The dispatch table of a pickler until it is asked for the first time.

    The C pickler asks it about each object that is not of a built-in type. It notes the first one and takes itself
    away, and the rest is pickled at the speed of ever.
    """

    def __init__(self, pickler: Pickler) -> None:
        super().__init__()
        self.pickler: Pickler | None = pickler

    def __missing__(self, cls: type) -> Any:
        if self.pickler is not None:
            del self.pickler.dispatch_table  # it holds on to `copyreg`'s from here on
            self.pickler = None
        return copyreg.dispatch_table[cls]


class _Chunks:
    """The file of a pickler. Most pickles are one chunk, which is not copied any more."""

    __slots__ = ("chunks", "write")

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.write = self.chunks.append


def dumps_noting(value: Any, protocol: int, buffer_callback: Callable[[Any], Any] | None) -> tuple[bytes, bool]:
    """The same bytes as `dumps`; and whether there was an object of another type than the built-in ones.

    Functions do not count: all that is stored of them is the name. Raises: as `dumps`.
    """
    file = _Chunks()
    pickler = Pickler(file, protocol, buffer_callback=buffer_callback)
    table = pickler.dispatch_table = _Noting(pickler)
    try:
        pickler.dump(value)
        return b"".join(file.chunks), table.pickler is None
    finally:
        table.pickler = None  # a circle otherwise


class PickleCodec(Pickled):
    """The codec `pickle`: whatever has a name that can be imported, and what is made of such."""

    name = "pickle"

    def dumps(self, value: Any, protocol: int, buffer_callback: Callable[[Any], Any] | None) -> bytes:
        take = buffer_callback if protocol >= 5 else None
        try:
            return dumps(value, protocol, buffer_callback=take)
        except HoldsPlaceholder:
            if take is not None:
                take(None)
            return with_placeholders(value, protocol)

    def loads(self, body: bytes, buffers: Buffers, lookup: Lookup) -> Any:
        return stdlib_loads(body, buffers, lookup)

    # Both once more without the calls between, for what most values are: 0.2 us each that every read and write pays.

    def encode(self, value: Any, protocol: int, buffer_callback: Callable[[Any], Any] | None = None) -> bytes:
        try:
            body = dumps(value, protocol, buffer_callback=buffer_callback if protocol >= 5 else None)
            if WORKER_MAIN not in _MODULES or not claim_main(body):
                return body
        except Exception:  # which is told, or dealt with, below
            pass
        if buffer_callback is not None:
            buffer_callback(None)
        return super().encode(value, protocol, buffer_callback)

    def encode_noting(
        self, value: Any, protocol: int, buffer_callback: Callable[[Any], Any] | None = None
    ) -> tuple[bytes, bool]:
        """The same bytes; and whether there may be something else than plain data in the value."""
        try:
            body, is_other = dumps_noting(value, protocol, buffer_callback if protocol >= 5 else None)
            if WORKER_MAIN not in _MODULES or not claim_main(body):
                return body, is_other
        except Exception:  # as in `encode`
            pass
        if buffer_callback is not None:
            buffer_callback(None)
        return self.encode(value, protocol, buffer_callback), True

    def decode(self, body: bytes, buffers: Buffers = (), *, lookup: Lookup = AS_WRITTEN) -> Any:
        if lookup is AS_WRITTEN:
            try:
                return _stdlib.loads(body, buffers=buffers)
            except Exception as exc:
                return self.decoded_again(body, buffers, lookup, exc)
        return super().decode(body, buffers, lookup=lookup)

    def decode_restricted(
        self, body: bytes, buffers: Buffers = (), *, allow: Allowed, lookup: Lookup = AS_WRITTEN
    ) -> Any:
        machine = _machine(_as_bytes(body), allow=allow, buffers=buffers, lookup=lookup)
        try:
            value = _run(machine)
        except EOFError as exc:
            raise undecodable(exc) from exc
        if machine.left_over:
            raise Corrupt("bytes follow its end; the record stays as it is")
        return value


class _FromProgram(Exception):
    """Carries what a program's own `find_class` or `persistent_load` raised past the decoder."""

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


def _machine(*args: Any, **options: Any) -> Machine:
    """The decoder for what others wrote; whoever reads records of his own alone does not load it."""
    from store.codecs.restricted.machine import Machine

    return Machine(*args, **options)


def _run_alone(machine: Machine) -> Any:
    """As `_run`, of bytes that are no record: they have no seal, and nobody can admit them."""
    try:
        return _run(machine)
    except Untrusted as exc:
        allow = (
            ""
            if not exc.allowable
            else (f". If that is a class of yours, put @store.allow above it, or pass allow=[{exc.missing!r}]")
        )
        exc.message = (
            f'{exc.reason}{allow}; trust="all" runs whatever the bytes say: only if you trust who wrote them'
        )
        exc.args = (exc.message,)
        raise


def _run(machine: Machine) -> Any:
    """The value. Raises: EOFError, Untrusted, Corrupt, and what the program's own code raises; nothing else."""
    try:
        return machine.run()
    except _FromProgram as exc:
        raise exc.error from None
    except (StoreError, EOFError):
        raise
    except Exception as exc:  # MemoryError and RecursionError too: they are of somebody else's making
        raise undecodable(exc) from exc


codec = PickleCodec()
