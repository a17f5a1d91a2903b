"""The contract of an engine for files without an open handle: recover a damaged store, and recognise a store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from store.rows.row import Row
from store.rows.spilled import Part

Key = tuple[str, str]
"""Namespace and name."""


class Findings(NamedTuple):
    """The results of salvaging a damaged store."""

    rows: Iterator[Row]
    """The rows to keep, with their ids, in order of insertion; each is read when the iterator reaches it."""
    number: int
    """How many rows to keep there are."""
    unsure: list[Key]
    """Records among them that may have been replaced or deleted before the damage."""
    lost: dict[Key, str]
    """The lost records, and the reasons."""
    damage: list[str]
    """The problems of the file."""


class NewStore(Protocol):
    """The new store that the salvaged rows go to."""

    def add(self, row: Row) -> None:
        """Adds a row unchanged."""

    def add_file(self, part: Part) -> None:
        """Copies a file of a row from the damaged store.

        Raises: Corrupt: it cannot be read there, or is not the original. StorageError: it cannot be written here.
        """

    def refuse_hollow(self, parts: Sequence[Part]) -> None:
        """As `Blobs.refuse_hollow`, of files of the damaged store; they may also be unreadable."""


class DamagedStore(Protocol):
    """A damaged store, read byte by byte."""

    path: str
    pages: int
    """How much there is to read; `step` is called up to twice as often."""

    def ids(self) -> Iterator[bytes]:
        """Candidates for the id of the store, the likeliest first; some come twice."""

    def sample(self) -> list[Row]:
        """Some rows, to test an id on."""

    def salvage(self, holds: Callable[[Row], bool], step: Callable[[], None]) -> Findings:
        """Finds the rows. `holds` returns whether a row's seal is valid; `step` is called for each page."""

    def rebuilt(self, store_id: bytes) -> AbstractContextManager[NewStore]:
        """The new store, which is moved to its place when the block ends; nothing is there if it fails.

        Raises: StorageError: it cannot be written, or a program wrote to the damaged one meanwhile.
        """


class FileFormat(Protocol):
    """The files of an engine, and those that other programs make in the same format."""

    def is_store(self, path: str) -> bool:
        """Whether the file at `path` is a store; it is not changed, and this process may have it open."""

    def bears_mark(self, header: bytes) -> bool:
        """Whether the first 100 bytes of a file are those of a store."""

    def check_companions(self, path: str) -> None:
        """Checks the files beside a database. Raises: StorageError: one does not belong there."""

    def are_companions_safe(self, path: str) -> bool:
        """Whether no other user can create files beside it between that check and its opening."""

    def copy_file(self, source: str, target: str) -> None:
        """Copies a database or a file beside it, so that no link can replace it before it is opened.

        Raises: OSError: it cannot be read or written, or is not a regular file.
        """
