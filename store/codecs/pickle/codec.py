"""The codec `pickle`, protocols 0 to 5: classes and functions by name, and their instances."""

from __future__ import annotations

import copyreg
import pickle
import sys
from operator import methodcaller
from pickle import Pickler, dumps
from typing import TYPE_CHECKING, Any

from store.classes.allowlist import Allowed
from store.classes.lookup import AS_WRITTEN, Lookup
from store.classes.moved import WORKER_MAIN, claim_main
from store.classes.placeholder import HoldsPlaceholder, PythonPickler, with_placeholders
from store.codecs.contract import Buffers, Description, TakeBuffer
from store.codecs.pickle.based import PickleBased, loads
from store.codecs.refusals import undecodable
from store.errors import Corrupt, StoreError

if TYPE_CHECKING:
    from store.codecs.restricted.machine import Machine

_MODULES = sys.modules
_REDUCE = [methodcaller("__reduce_ex__", protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]


class _Types(dict[type, Any]):
    """The dispatch table of a pickler, which records the types that are looked up in it.

    The C pickler looks up the type of each object that is not of a built-in type. The reducer it gets does in C what
    the pickler would do without a table.
    """

    reduce: Any

    def __missing__(self, cls: type) -> Any:
        if issubclass(cls, type):
            raise KeyError(cls)  # an object of a metaclass is a class, which is stored by name
        found = self[cls] = copyreg.dispatch_table.get(cls, self.reduce)
        return found


class _Chunks:
    """The file of a pickler. Most pickles are one chunk, which is then not copied."""

    __slots__ = ("chunks", "write")

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.write = self.chunks.append


class _Nothing:
    """The file of a pickler whose pickle is not kept."""

    __slots__ = ()
    write = len


def dumps_with_types(value: Any, protocol: int, buffer_callback: TakeBuffer | None) -> tuple[bytes, set[type]]:
    """The same bytes as `dumps`, and the types of the objects that are not of a built-in type.

    Functions and classes do not count: they are stored by name. Raises: as `dumps`.
    """
    file = _Chunks()
    types = _dump(value, protocol, buffer_callback, file)
    return b"".join(file.chunks), types


def types_in(value: Any) -> set[type] | None:
    """The types of the objects in a value that are not of a built-in type; None if pickle cannot store it."""
    try:
        return _dump(value, 5, _drop, _Nothing())
    except Exception:  # a value of another codec
        return None


def _dump(value: Any, protocol: int, buffer_callback: TakeBuffer | None, file: Any) -> set[type]:
    """Writes the pickle to the file; returns the types of the objects in it. Raises: as `dumps`."""
    pickler = Pickler(file, protocol, buffer_callback=buffer_callback)
    table = pickler.dispatch_table = _Types()
    table.reduce = _REDUCE[protocol]
    pickler.dump(value)
    return set(table)


def _drop(buffer: Any) -> None:
    """Keeps no buffer."""


def _dumps(value: Any, protocol: int, buffer_callback: TakeBuffer | None) -> bytes:
    take = buffer_callback if protocol >= 5 else None
    try:
        return dumps(value, protocol, buffer_callback=take)
    except HoldsPlaceholder:
        if take is not None:
            take(None)
        return with_placeholders(value, protocol)


_GENERAL = PickleBased("pickle", _dumps, loads, PythonPickler, range(6))


class PickleCodec:
    """The codec `pickle`: a `PickleBased` with a fast path for success, which saves 0.2 us per record."""

    name = "pickle"
    protocols = range(6)
    default_protocol = _GENERAL.default_protocol
    pickler = PythonPickler

    def encode(self, value: Any, protocol: int, buffer_callback: TakeBuffer | None = None) -> bytes:
        try:
            body = dumps(value, protocol, buffer_callback=buffer_callback if protocol >= 5 else None)
            if WORKER_MAIN not in _MODULES or not claim_main(body):
                return body
        except Exception:  # the general path raises or handles it
            pass
        if buffer_callback is not None:
            buffer_callback(None)
        return _GENERAL.encode(value, protocol, buffer_callback)

    def encode_with_types(
        self, value: Any, protocol: int, buffer_callback: TakeBuffer | None = None
    ) -> tuple[bytes, set[type] | None]:
        """The same bytes, and the types as `types_in` gives them."""
        try:
            body, types = dumps_with_types(value, protocol, buffer_callback if protocol >= 5 else None)
            if WORKER_MAIN not in _MODULES or not claim_main(body):
                return body, types
        except Exception:  # as in `encode`
            pass
        if buffer_callback is not None:
            buffer_callback(None)
        return self.encode(value, protocol, buffer_callback), types_in(value)

    def decode(self, body: bytes, buffers: Buffers = (), *, lookup: Lookup = AS_WRITTEN) -> Any:
        if lookup is AS_WRITTEN:
            try:
                return pickle.loads(body, buffers=buffers) if buffers else pickle.loads(body)  # 0.1 us less
            except Exception as exc:
                return _GENERAL.decoded_again(body, buffers, lookup, exc)
        return _GENERAL.decode(body, buffers, lookup=lookup)

    def decode_restricted(
        self, body: bytes, buffers: Buffers = (), *, allow: Allowed, lookup: Lookup = AS_WRITTEN
    ) -> Any:
        return run_to_end(machine_for(as_bytes(body), allow=allow, buffers=buffers, lookup=lookup))

    def describe(self, body: bytes) -> Description:
        return _GENERAL.describe(body)


def as_bytes(data: Any) -> bytes:
    """The bytes of any buffer. Raises: TypeError: it is not a buffer."""
    if type(data) is bytes:
        return data
    with memoryview(data) as view:
        return bytes(view)


def machine_for(*args: Any, **options: Any) -> Machine:
    """The restricted decoder, imported when the first foreign record is read."""
    from store.codecs.restricted.machine import Machine

    return Machine(*args, **options)


def run_machine(machine: Machine) -> Any:
    """The value. Raises: EOFError, StoreError; the bytes can cause no other error."""
    try:
        return machine.run()
    except (StoreError, EOFError):
        raise
    except Exception as exc:  # MemoryError and RecursionError too: the bytes can cause either
        raise undecodable(exc) from exc


def run_to_end(machine: Machine) -> Any:
    """The value of a record, which must end with its pickle. Raises: Untrusted, Corrupt."""
    try:
        value = run_machine(machine)
    except EOFError as exc:
        raise undecodable(exc) from exc
    if machine.left_over:
        raise Corrupt("bytes follow its end; the record stays as it is")
    return value


codec = PickleCodec()
