"""The records of a source: a path or URL, and the options that say what to read there."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import cast

from store.importers.contract import Found, Keys, SignedImporter
from store.importers.formats.sqlitedict import importer as sqlitedict
from store.importers.kinds import SIGNED, TABLES, check_server, check_source, importers
from store.importers.redis_place import scheme_of


@dataclass(frozen=True, slots=True)
class Options:
    """What to read of a source; each is for some kinds alone, and explained at `run.import_into`.

    Raises:
        TypeError, ValueError: an option can never be right.
    """

    table: str | None = None
    encoded: bool = False
    secret_keys: Iterable[str | bytes] = ()
    session_age: float | None = None
    key_prefix: str | None = None
    key_version: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.secret_keys, str | bytes):
            raise TypeError("secret_keys takes a list of keys: [SECRET_KEY]")
        if self.key_prefix is not None and not isinstance(self.key_prefix, str):
            raise TypeError(f"key_prefix is text, not {type(self.key_prefix).__name__}")
        if self.key_version is not None and (type(self.key_version) is not int or self.key_version < 0):
            raise ValueError(f"key_version is a whole number from 0 up, not {self.key_version!r}")

    @property
    def keys(self) -> Keys:
        return Keys(self.key_prefix, self.key_version)


def records_of(
    kind: str, place: str | os.PathLike[str], options: Options, clock: Callable[[], float]
) -> Generator[Found]:
    """The records of a source of that kind, which is there, read as the result is.

    Raises:
        ValueError: an option is not for this source. NotAStore, StorageError: as `check_source` and `check_server`.
    """
    if kind not in importers:
        raise ValueError(f"unknown source {kind!r}: one of {', '.join(importers.names())}")
    where = os.fsdecode(place)
    if scheme_of(where) is not None:
        return _on_server(kind, where, options, clock)
    return _in_files(kind, os.path.abspath(where), options)


def _on_server(kind: str, url: str, options: Options, clock: Callable[[], float]) -> Generator[Found]:
    if options.table is not None or options.encoded:
        raise ValueError("table and encoded are for databases in files, not for a source on a server")
    if tuple(options.secret_keys) or options.session_age is not None:
        raise ValueError(
            "secret_keys and session_age are for sessions in files and databases; those in a cache are not signed, "
            "and each has its own expiry"
        )
    return check_server(kind, url, options.keys).read(url, options.keys, clock)


def _in_files(kind: str, path: str, options: Options) -> Generator[Found]:
    if options.keys != Keys():
        raise ValueError("key_prefix and key_version are for a source on a server: redis://…")
    if options.table is not None and kind not in TABLES:
        raise ValueError(f"only a sqlitedict has tables, or a database of Django; not the kind {kind!r}")
    if options.encoded and kind != "sqlitedict":
        raise ValueError(f"only a sqlitedict has encoded values, not a source of the kind {kind!r}")
    secrets = [key.encode() if isinstance(key, str) else key for key in options.secret_keys]
    if (secrets or options.session_age is not None) and kind not in SIGNED:
        raise ValueError(f"secret_keys and session_age are for {' and '.join(SIGNED)}, not for the kind {kind!r}")
    importer = check_source(kind, path)
    if kind in SIGNED:
        importer = cast(SignedImporter, importer).configured(secrets, options.session_age)
    if options.encoded:
        return sqlitedict.read(path, table=options.table, encoded=True)
    return importer.read(path, table=options.table)
