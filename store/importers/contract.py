"""The contract of an importer: the records of another program's file or server, one by one, nothing decoded."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any, NamedTuple, Protocol


class Found(NamedTuple):
    """One record of a source.

    `key` is its name there, `value` its value. With a `codec`, `value` is bytes for that codec; with a `key_codec` so
    is `key`. `expires` is in Unix seconds, `tag` names a group that a cache can evict. `table` is set where a source
    has several, and goes before the name. With a `problem` there is no value: the record failed, or was left out on
    purpose (`skipped`). `may_repeat`: its source may give this record again, and gives no two records the same name.
    `wanted` is the class that the value must have.
    """

    key: Any
    value: Any = None
    codec: str | None = None
    expires: float | None = None
    problem: str = ""
    skipped: bool = False
    key_codec: str | None = None
    tag: Any = None
    table: str = ""
    may_repeat: bool = False
    wanted: type = object


class Form(Protocol):
    """How the records of a source are written, where a program with its own names and forms of values reads them."""

    def name_of(self, key: Any) -> str:
        """The name for a key. Raises: ValueError, TypeError: it can have none."""

    def tag_of(self, tag: Any) -> str | None:
        """The text for a tag. Raises: ValueError, TypeError."""

    def value_of(self, name: str, key: Any, value: Any) -> Any:
        """What is stored for the value of that key."""


class Importer(Protocol):
    """Reads one kind of source, and never writes. Stateless, hence safe across threads and processes."""

    name: str
    """The kind of source, as on the command line."""

    def recognises(self, path: str) -> bool:
        """Whether this kind of source is there; it is not changed, and nothing in it decoded."""

    def read(self, path: str, *, table: str | None = None) -> Generator[Found]:
        """The records of the source, read as the result is; always in the same order. `table`: only that one.

        Raises:
            Corrupt: the source is damaged; the records before that were given. StorageError: it cannot be read.
            CodecUnavailable: this Python lacks the module that reads it.
        """


class Keys(NamedTuple):
    """How a program made its keys on a server, as its settings have it; None: by default."""

    prefix: str | None = None
    version: int | None = None


class ServerImporter(Protocol):
    """Reads one kind of source on a server, and never writes. Stateless, hence safe across threads and processes."""

    name: str
    """The kind of source, as on the command line."""

    def check(self, url: str, keys: Keys) -> None:
        """Looks whether there are such records, and whether the server lets them be read.

        Raises:
            ValueError: the URL or `keys` can never be right. StorageError: the server cannot be read, or has none.
        """

    def read(self, url: str, keys: Keys, clock: Callable[[], float]) -> Generator[Found]:
        """The records, read as the result is, in any order. `clock`: from which expiries are counted.

        Raises:
            ValueError, StorageError: as `check`; or not all could be read, and those before that were given.
        """


class SignedImporter(Importer, Protocol):
    """An importer whose source has signatures, and need not have expiries."""

    def configured(self, secret_keys: Iterable[bytes], cookie_age: float | None) -> Importer:
        """One that gives only records which one of the keys has signed, if there are keys.

        `cookie_age`: after how many seconds a record without an expiry ends; None: the default of its program.
        """
