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
import io
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
from typing import IO, Any

from store.allowlist import Allowed, allowed
from store.codecs.restricted import find_allowed
from store.errors import Corrupt, NotSerializable, StoreError

__all__ = [
    "dump", "dumps", "load", "loads", "Pickler", "Unpickler", "PickleBuffer", "HIGHEST_PROTOCOL",
    "DEFAULT_PROTOCOL", "PickleError", "PicklingError", "UnpicklingError",
]  # fmt: skip


class Unpickler(_stdlib.Unpickler):
    """The stdlib's `Unpickler`, whose `find_class` knows only what is harmless or allowed.

    `trust="all"` lifts that. A subclass may override `find_class` and `persistent_load` as ever: it is
    the program's own code.

    Raises:
        Untrusted: the pickle names something else. UnpicklingError, EOFError…: as the stdlib.
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
        self._allow = None if _is_all(trust) else allowed(allow)

    def find_class(self, module: str, name: str, /) -> Any:
        """The global called `module.name`."""
        if self._allow is None:
            return super().find_class(module, name)
        return find_allowed(module, name, self._allow)

    def load(self) -> Any:
        """The next value of the file."""
        if self._allow is not None:
            # What `copyreg.add_extension` registered and somebody loaded before comes from this cache, past
            # `find_class`; emptied, it asks.
            copyreg.clear_extension_cache()
        return super().load()


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
    stream = io.BytesIO(data if type(data) is bytes else memoryview(data))  # a str is a TypeError here
    return Unpickler(stream, **options, allow=allow).load()


def _is_all(trust: str) -> bool:
    if trust not in ("data", "all"):
        raise ValueError(f'trust is "data" or "all" here, not {trust!r}')
    return trust == "all"


class PickleCodec:
    """The codec `pickle`. The default protocol is 5 by constant: a newer Python's would shut older ones out."""

    name = "pickle"
    protocols = range(6)
    default_protocol = 5

    def encode(self, value: Any, protocol: int, buffer_callback: Callable[[Any], Any] | None = None) -> bytes:
        try:
            return dumps(value, protocol, buffer_callback=buffer_callback)
        except MemoryError:
            raise
        except Exception as exc:
            raise NotSerializable(
                f"{_described(exc)}; give the class that holds it a __getstate__ that leaves it out"
            ) from exc

    def decode(self, body: bytes, buffers: Iterable[Any] = ()) -> Any:
        try:
            return _stdlib.loads(body, buffers=buffers)
        except (MemoryError, StoreError):
            raise
        except Exception as exc:
            raise _corrupt(exc) from exc

    def decode_restricted(self, body: bytes, buffers: Iterable[Any] = (), *, allow: Allowed) -> Any:
        try:
            return _Restricted(io.BytesIO(body), allow, buffers).load()
        except StoreError:
            raise
        except Exception as exc:  # MemoryError too: a few bytes of somebody else's can claim any length
            raise _corrupt(exc) from exc


class _Restricted(Unpickler):
    def __init__(self, file: IO[bytes], allow: Allowed, buffers: Iterable[Any]) -> None:
        _stdlib.Unpickler.__init__(self, file, buffers=buffers)
        self._allow = allow


def _corrupt(exc: Exception) -> Corrupt:
    """Any error of a decoder: a KeyError that a `__setstate__` raised must not pass for a missing name."""
    if isinstance(exc, AttributeError | ImportError):
        return Corrupt(
            f"the class or function it was made of is not there any more ({_described(exc)}); the record is "
            "intact: make the name importable again"
        )
    return Corrupt(f"its bytes cannot be decoded ({_described(exc)}); the record stays as it is")


def _described(exc: Exception) -> str:
    return f"{type(exc).__name__}: {exc}"[:500]


codec = PickleCodec()
