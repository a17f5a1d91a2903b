"""The contract of an importer: what a file of another program holds, one record after the other, nothing decoded.

    from store import Store, importers

    with Store("app.db") as s:
        for record in importers.import_into(s, "shelve", "old_shelf", allow=["app.User"]):
            print(record.name, record.outcome, record.why)

On the command line: `store import shelve old_shelf app.db --allow app.User`.

An importer reads and never writes: the source stays as it is, byte for byte. It gives the pickles it finds as bytes;
`run` has them decoded, with restraint unless it is told `trust="all"`. So no importer can run what a file says.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple, Protocol

from store.system.registry import Registry


class Found(NamedTuple):
    """One record of a source.

    `key` is what the source calls it, `value` its value; where `codec` names one, `value` is bytes for that codec,
    and where `key_codec` does, `key` is. `expires` is in Unix seconds. With a `problem`, there is no value: the
    record failed, or was left out on purpose (`skipped`).
    """

    key: Any
    value: Any = None
    codec: str | None = None
    expires: float | None = None
    problem: str = ""
    skipped: bool = False
    key_codec: str | None = None


class Importer(Protocol):
    """Reads one kind of source. Stateless, hence safe across threads and processes."""

    name: str
    """What the command line calls it."""

    def recognises(self, path: str) -> bool:
        """Whether this kind of source is there; it is not changed, and nothing in it decoded."""

    def read(self, path: str, *, table: str | None = None) -> Generator[Found, None, None]:
        """The records of the source, read as the result is; always in the same order. `table`: only that one.

        Raises:
            Corrupt: the source is damaged; the records before that were given. StorageError: it cannot be read.
            CodecUnavailable: this Python lacks what reads it.
        """


importers = Registry("importer")
"""Kind of source → `Importer`. The order is that in which kinds are tried on a source of unknown kind."""
for _kind in ("diskcache", "sqlitedict", "shelve", "dbm", "joblib", "pickles", "json"):
    importers.register(_kind, f"store.importers.{_kind}:importer")


def __getattr__(name: str) -> Any:
    """The runner, imported when it is used."""
    if name in ("import_into", "Imported"):
        from store.importers import run

        return getattr(run, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
