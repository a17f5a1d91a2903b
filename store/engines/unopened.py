"""What an engine does with files that no handle is open on: recover a damaged store, and recognise a store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from store.rows.row import Row
from store.rows.spilled import Part

Key = tuple[str, str]
"""Namespace and name."""


class Findings(NamedTuple):
    """What was found in a damaged store."""

    rows: Iterator[Row]
    """Those to be kept, with their ids, in order of insertion; each is read when it is asked for."""
    number: int
    """How many those are."""
    unsure: list[Key]
    """Which of them may have been replaced or deleted before the damage."""
    lost: dict[Key, str]
    """Which are lost, and why."""
    damage: list[str]
    """What is wrong with the file."""


class NewStore(Protocol):
    """The store that is filled with what was found."""

    def add(self, row: Row) -> None:
        """Puts a row as it is."""

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
        """What may be the id of the store, the likeliest first; some come twice."""

    def sample(self) -> list[Row]:
        """Some rows, to try an id on."""

    def salvage(self, holds: Callable[[Row], bool], step: Callable[[], None]) -> Findings:
        """Finds the rows. `holds` says of a row whether its seal does; `step` is called for each page."""

    def rebuilt(self, store_id: bytes) -> AbstractContextManager[NewStore]:
        """The new store, which is in its place once the block ends; nothing is there if it fails.

        Raises: StorageError: it cannot be written, or somebody wrote to the damaged one meanwhile.
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
        """Whether nobody else can make files beside it between that check and its opening."""

    def copy_file(self, source: str, target: str) -> None:
        """Copies a database or a file beside it, so that no link can replace it before it is opened.

        Raises: OSError: it cannot be read or written, or is not a regular file.
        """
