"""Every error that `store` raises, as one tree; each also is the builtin that callers already catch.

    StoreError
    ├── RecordError                                    a record, by .name and .namespace
    │   ├── NotSerializable  (PicklingError, TypeError)      the value cannot be encoded
    │   ├── Untrusted        (UnpicklingError)               a foreign record needs a class that is not allowed
    │   ├── Tampered         (ValueError)                    the seal names one of our keys and does not match
    │   ├── Corrupt          (UnpicklingError, ValueError)   the bytes cannot be decoded
    │   │   └── ClassNotFound                                the record is intact, but its class cannot be imported
    │   ├── UnknownProtocol  (ValueError)                    written by a newer Python or codec
    │   └── Conflict         (RuntimeError)                  another writer changed the record
    ├── StorageError         (OSError, keeps errno)          disk full, I/O error, file replaced
    │   ├── StoreNotFound    (FileNotFoundError)
    │   └── OutcomeUnknown                                 the change was written, and may not be visible or not last
    ├── CodecUnavailable     (ImportError)                   a codec's library is not installed
    ├── Unsupported          (NotImplementedError)           the engine of this store cannot do it
    ├── InUse                (RuntimeError)            this thread is inside an operation that must end first
    ├── LockTimeout          (TimeoutError)
    ├── ReadOnly             (PermissionError)
    ├── StoreClosed          (ValueError)
    ├── ShardsMismatch       (ValueError)              a namespace has another number of shards than was asked for
    └── NotAStore            (ValueError)                    the file is not a store

A missing name is a plain `KeyError`. A call that can never be right (an unknown codec, a negative ttl) is a plain
`TypeError` or `ValueError`: these report a mistake in the program, the errors above report what failed around it.
"""

from __future__ import annotations

from pickle import PicklingError, UnpicklingError
from typing import Any

__all__ = [
    "StoreError", "RecordError", "NotSerializable", "Untrusted", "Tampered", "Corrupt", "ClassNotFound",
    "UnknownProtocol", "Conflict", "StorageError", "StoreNotFound", "OutcomeUnknown", "CodecUnavailable",
    "Unsupported", "InUse", "LockTimeout", "ReadOnly", "StoreClosed", "ShardsMismatch", "NotAStore",
]  # fmt: skip


class StoreError(Exception):
    """The base of all errors of this package. `message` says what happened and what to do next."""

    evidence: tuple[str, ...] = ()  # the attributes that carry the facts, kept through pickling

    def __init__(self, message: str = "", **evidence: Any) -> None:
        super().__init__(message)
        self.message = message
        for field in self.evidence:
            setattr(self, field, evidence.pop(field, None))
        if evidence:
            raise TypeError(f"{type(self).__name__}() has no attribute {', '.join(evidence)}")

    def __str__(self) -> str:
        return self.message  # OSError and ImportError would build their own text

    def __reduce__(self) -> tuple[Any, ...]:
        facts = {field: getattr(self, field) for field in self.evidence}
        return _rebuild, (type(self), self.message, facts, getattr(self, "__notes__", None))


def _rebuild(cls: type[StoreError], message: str, facts: dict[str, Any], notes: list[str] | None) -> StoreError:
    error = cls(message, **facts)
    for note in notes or ():
        error.add_note(note)
    return error


class RecordError(StoreError):
    """An error about one record: `.name` and `.namespace`, None where no record is known."""

    evidence: tuple[str, ...] = ("name", "namespace")
    name: str | None
    namespace: str | None

    def about(self, name: str, namespace: str) -> RecordError:
        """The same error with the name of its record; unchanged if it has one."""
        if self.name is None:
            self.name, self.namespace = name, namespace
            self.message = f"{label(name, namespace)}: {self.message}"
            self.args = (self.message,)
        return self


def label(name: str, namespace: str = "") -> str:
    """How messages name a record: `record 'user:1'`, long names cut, with the namespace where it has one."""
    name, namespace = str(name), str(namespace)  # a damaged file can have anything in its columns
    shown = repr(name if len(name) <= 80 else name[:77] + "...")
    return f"record {shown}" + (f" in namespace {namespace[:80]!r}" if namespace else "")


class NotSerializable(RecordError, PicklingError, TypeError):
    """The codec cannot encode the value; nothing was written. `.path` leads to the part that failed."""

    evidence = (*RecordError.evidence, "path")
    path: str | None


class Untrusted(RecordError, UnpicklingError):
    """A foreign record, not sealed by a key of the user, needs a class that is not allowed: `.missing` is its name.

    The record is not changed, and its metadata can be read. `.reason` is the cause without the remedy. `.allowable`
    says whether `allow=` can permit it; the message then has the line that does.
    """

    evidence = (*RecordError.evidence, "missing", "reason", "allowable")
    missing: str | None
    reason: str | None
    allowable: bool | None


class Tampered(RecordError, ValueError):
    """The seal names a key that we hold, and does not match the bytes of the record."""


class Corrupt(RecordError, UnpicklingError, ValueError):
    """The stored bytes cannot be decoded, or SQLite found the file damaged.

    `.file` is the file of a large value that is missing, truncated or altered, where that is the cause.
    """

    evidence = (*RecordError.evidence, "file")
    file: str | None


class ClassNotFound(Corrupt):
    """The record is intact, but its class or function cannot be imported: `.missing` is its dotted name.

    Its library is not installed, or it was moved or removed; the message says what to do. It is a `Corrupt` because
    programs catch that for any record that cannot be decoded.
    """

    evidence = (*Corrupt.evidence, "missing")
    missing: str | None


class UnknownProtocol(RecordError, ValueError):
    """Written by a newer Python or codec (`.codec` and `.protocol` say which), or by a newer version of a class."""

    evidence = (*RecordError.evidence, "codec", "protocol")
    codec: str | None
    protocol: int | None


class Conflict(RecordError, RuntimeError):
    """Another writer changed or deleted the record after the caller read it."""


class StorageError(StoreError, OSError):
    """The disk, the file system or SQLite failed: `.errno` and `.path`. The old value is unchanged."""

    evidence = ("errno", "path")
    errno: int | None
    path: str | None


class StoreNotFound(StorageError, FileNotFoundError):
    """There is no store at that path, and the mode does not create one."""


class OutcomeUnknown(StorageError):
    """A change was written, and it is unknown whether others see it, or whether it survives a power cut.

    The message says which. Read the record before you write it again.
    """


class CodecUnavailable(StoreError, ImportError):
    """A record's codec is not registered here, or its library is not installed: `.codec`."""

    evidence = ("codec",)
    codec: str | None


class Unsupported(StoreError, NotImplementedError):
    """The engine of this store does not support `.feature`; `.engine` is its name."""

    evidence = ("engine", "feature")
    engine: str | None
    feature: str | None


class InUse(StoreError, RuntimeError):
    """This thread is inside an operation or a block that must end first: `.path`. Nothing was done.

    The caller is a signal handler or a finalizer that interrupted the operation, or a task other than the block's.
    """

    evidence = ("path",)
    path: str | None


class LockTimeout(StoreError, TimeoutError):
    """Another thread or process held the lock for longer than `timeout` seconds: `.path`."""

    evidence = ("path",)
    path: str | None


class ReadOnly(StoreError, PermissionError):
    """A write to a store that was opened for reading, or whose file does not permit it: `.path`."""

    evidence = ("path",)
    path: str | None


class StoreClosed(StoreError, ValueError):
    """The store was closed; open it again."""


class ShardsMismatch(StoreError, ValueError):
    """The `.namespace` is spread over `.shards` shards, and was opened with another number; nothing was changed."""

    evidence = ("namespace", "shards")
    namespace: str | None
    shards: int | None


class NotAStore(StoreError, ValueError):
    """The file is not a store, or a later release wrote it; it was not changed: `.path`."""

    evidence = ("path",)
    path: str | None
