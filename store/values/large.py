"""Stores the large parts of values in files, and reads them back.

A large buffer of a value (the data of an array, passed on by the codec) becomes a file that is mapped when it is
read. A body that is still large becomes a file too; decoding it may run code, so it is copied and checked first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from store.errors import Corrupt
from store.rows.row import Row, Sealed
from store.rows.spilled import Part, checksum, new_file, parts_of, prefix_of, size_of
from store.system.digests import blake2b

if TYPE_CHECKING:
    from store.engines.capabilities import Blobs

DEFAULT_SPILL_BYTES = 1024 * 1024


class LargeOptions(NamedTuple):
    """The options of a store for files: from which size a part becomes a file, and how files are read."""

    spill_bytes: int
    mmap: bool
    verify_buffers: bool


def check_large(spill_bytes: int, mmap: bool, verify_buffers: bool) -> LargeOptions:
    """The options, checked. Raises: TypeError, ValueError: an option is invalid."""
    if isinstance(spill_bytes, bool) or not isinstance(spill_bytes, int):
        raise TypeError(f"spill_bytes is a number of bytes, not {spill_bytes!r}")
    if spill_bytes < 1:
        raise ValueError(f"spill_bytes is a number of bytes from 1 up, not {spill_bytes!r}")
    for name, choice in (("mmap", mmap), ("verify_buffers", verify_buffers)):
        if not isinstance(choice, bool):
            raise TypeError(f"{name} is True or False, not {choice!r}")
    return LargeOptions(spill_bytes, mmap, verify_buffers)


class LargeBuffer(BaseException):
    """Aborts an encoding at the first buffer that becomes a file; it starts again with a `BufferCollector`.

    Not an Exception, which a codec would report as an error of the value.
    """


class BufferCollector:
    """Collects the large buffers of one value while it is encoded."""

    def __init__(self, limit: int) -> None:
        self.buffers: list[memoryview] = []
        self.limit = limit

    def take(self, buffer: Any) -> bool:
        """Whether a `pickle.PickleBuffer` stays in the body; None resets, because the codec starts again."""
        if buffer is None:
            self.buffers.clear()
            return True
        view = _large(buffer, self.limit)
        if view is None:
            return True
        self.buffers.append(view)
        return False


def _large(buffer: Any, limit: int) -> memoryview | None:
    """The bytes of the buffer if they become a file; None if they stay in the body."""
    try:
        view: memoryview = buffer.raw()
    except BufferError:  # not contiguous: the codec handles it
        return None
    return view if view.nbytes > limit else None


class Large:
    """Writes and reads the large parts of the values of one store. Safe across threads."""

    def __init__(self, spill: Blobs, options: LargeOptions, timeout: float) -> None:
        self.spill = spill
        self.limit, self.mmap, self._verify = options
        self._timeout = timeout

    def keeps_inline(self, buffer: Any) -> bool:
        """As `BufferCollector.take`, for most values, which have no large buffer. Raises: LargeBuffer."""
        if buffer is not None and _large(buffer, self.limit) is not None:
            raise LargeBuffer
        return True

    def write(self, draft: Row, buffers: Sequence[memoryview]) -> Row:
        """The draft with its large parts written to files. The caller then puts or discards it."""
        body, contents = self._divided(draft.body, buffers)
        return draft._replace(body=body, spill=self.spill.write(draft.namespace, draft.name, contents, self._timeout))

    def discard(self, row: Row) -> None:
        """Delete the files that were written for a row that will not be put."""
        if row.spill is not None:
            self.spill.discard(row.spill)

    def body(self, row: Row, *, foreign: bool) -> bytes:
        """The whole body of a row with files, which may be foreign. Raises: Corrupt, StorageError."""
        return row.body or self.spill.body(self._parts(row, foreign=foreign)[0])

    def read(self, row: Row | Sealed, *, private: bool, foreign: bool) -> tuple[bytes, Iterable[memoryview]]:
        """The body and the buffers. Buffers are mapped, or writable copies if `private`.

        Buffers of a `foreign` record are private and checked, because their writer could change them after the check.
        Each is read on demand, since the body need not refer to any.

        Raises:
            Corrupt: a file is missing, truncated or altered. StorageError: it cannot be read.
        """
        parts = self._parts(row, foreign=False)
        if foreign and not row.body:
            self.spill.refuse_hollow(parts[:1])
        body = row.body or self.spill.body(parts.pop(0))
        mapped, verify = self.mmap and not (private or foreign), self._verify or foreign
        buffers = [partial(self.spill.buffer, part, mapped=mapped, verify=verify) for part in parts]
        if foreign:
            return body, _Buffers(buffers, partial(self.spill.refuse_hollow, parts))
        return body, [read() for read in buffers]

    def copied_bytes(self, row: Row | Sealed, *, foreign: bool) -> int:
        """How many bytes `read` copies into memory and `row` holds already; mapped buffers are not among them."""
        if not self.mmap or self._verify or foreign:
            return len(row.body) + size_of(row.spill)
        return len(row.body) or self._parts(row, foreign=False)[0].bytes

    def problems(self, row: Row, *, foreign: bool, content: bool = True) -> list[str]:
        """The problems with the files of a row; `content`: also compare each with its checksum."""
        try:
            parts = self._parts(row, foreign=foreign)
        except Corrupt as exc:
            return [exc.message]
        return [problem for part in parts if (problem := self.spill.problem(part, content=content)) is not None]

    def contents(self, row: Row, *, foreign: bool) -> list[bytes | None]:
        """The contents of the files of a row, unchecked; None for a missing file."""
        try:
            return [self.spill.contents(part) for part in self._parts(row, foreign=foreign)]
        except Corrupt:
            return []

    def restore(self, row: Row, origin: bytes, contents: Sequence[bytes | None], *, renamed: bool) -> Row:
        """The row with files of that content, using its list of files from the store with the id `origin`.

        `renamed`: under new names. The checksums in the list are kept, whatever the content is. If the list does not
        belong to that record, the row is unchanged.
        """
        prefix = self._prefix(row)
        try:
            parts = parts_of(self._text(row), prefix_of(origin, row.namespace, row.name))
        except Corrupt:
            return row
        if renamed:
            parts = [part._replace(file=new_file(prefix)) for part in parts]
        contents = [*contents, *[None] * len(parts)][: len(parts)]
        return row._replace(spill=self.spill.restore(row.namespace, row.name, parts, contents, self._timeout))

    def moved(self, row: Row, namespace: str) -> Row:
        """The row in another namespace of this store, with copies of its files, which are not checked.

        Raises: Corrupt: the list of its files is not one of this record. StorageError.
        """
        parts = self._parts(row, foreign=False)
        contents = [self.spill.contents(part) for part in parts]
        prefix = self.spill.prefix(namespace, row.name)
        parts = [part._replace(file=new_file(prefix)) for part in parts]
        spill = self.spill.restore(namespace, row.name, parts, contents, self._timeout)
        return row._replace(namespace=namespace, spill=spill)

    def digest(self, body: bytes, buffers: Sequence[memoryview]) -> bytes:
        """As `digest_of` of the row that these would be packed into."""
        in_row, contents = self._divided(body, buffers)
        return _digest(in_row, [checksum(content).hexdigest() for content in contents])

    def _divided(self, body: bytes, buffers: Sequence[memoryview]) -> tuple[bytes, list[bytes | memoryview]]:
        """(body that stays in the row, contents of the files)."""
        if len(body) <= self.limit and (body or not buffers):
            return body, [*buffers]
        return b"", [body, *buffers]

    def _parts(self, row: Row | Sealed, *, foreign: bool) -> list[Part]:
        """The files of a row. Raises: Corrupt: not files of this row, or foreign and taking too much memory."""
        parts = parts_of(self._text(row), self._prefix(row))
        if foreign:
            self.spill.refuse_hollow(parts)
        return parts

    def _prefix(self, row: Row | Sealed) -> str:
        return self.spill.prefix(row.namespace, row.name)

    def _text(self, row: Row | Sealed) -> str:
        return row.spill or ""


class _Buffers:
    """Buffers that are read on demand, again in each iteration; `check` is called before the first."""

    def __init__(self, buffers: Sequence[Callable[[], memoryview]], check: Callable[[], None]) -> None:
        self._buffers, self._check = buffers, check

    def __iter__(self) -> Iterator[memoryview]:
        for number, read in enumerate(self._buffers):
            if not number:
                self._check()
            yield read()


def digest_of(row: Row) -> bytes:
    """A digest of 16 bytes of the encoded value of a row that we packed."""
    if row.spill is None:
        return _digest(row.body, [])
    import json

    return _digest(row.body, [digest for _, _, digest in json.loads(row.spill)])


def _digest(body: bytes, checksums: list[str]) -> bytes:
    digest = blake2b(body, digest_size=16)
    digest.update("".join(checksums).encode())
    return digest.digest()


def no_files() -> Corrupt:
    """The error for a row with files in a store without a folder for them."""
    return Corrupt("its value is in files beside the store it was written to, and here there are none")
