"""Values too large for a row: which parts of them go to files, and how they come back.

A large buffer of the value (an array's data, handed out by the codec) is a file that is mapped when it is read. A
body that is large without it is a file too; decoding it may run code, so it is copied and checked first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from store.errors import Corrupt
from store.rows.row import Row
from store.rows.spilled import Part, checksum, new_file, parts_of, prefix_of
from store.system.digests import blake2b

if TYPE_CHECKING:
    from store.engines.capabilities import Blobs

DEFAULT_SPILL_BYTES = 1024 * 1024


class LargeOptions(NamedTuple):
    """What a store was opened with: how large a part of a value goes to a file, and how those are read."""

    spill_bytes: int
    mmap: bool
    verify_buffers: bool


def check_large(spill_bytes: int, mmap: bool, verify_buffers: bool) -> LargeOptions:
    """The options, checked. Raises: TypeError, ValueError: one of them can never be right."""
    if isinstance(spill_bytes, bool) or not isinstance(spill_bytes, int):
        raise TypeError(f"spill_bytes is a number of bytes, not {spill_bytes!r}")
    if spill_bytes < 1:
        raise ValueError(f"spill_bytes is a number of bytes from 1 up, not {spill_bytes!r}")
    for name, choice in (("mmap", mmap), ("verify_buffers", verify_buffers)):
        if not isinstance(choice, bool):
            raise TypeError(f"{name} is True or False, not {choice!r}")
    return LargeOptions(spill_bytes, mmap, verify_buffers)


class LargeBuffer(BaseException):
    """Ends an encoding at the first buffer that is to be a file: it begins anew, with a place for those.

    No Exception, which a codec would take for a fault of the value.
    """


class BufferCollector:
    """Collects the large buffers of one value while it is encoded."""

    def __init__(self, limit: int) -> None:
        self.buffers: list[memoryview] = []
        self.limit = limit

    def take(self, buffer: Any) -> bool:
        """Whether the buffer, a `pickle.PickleBuffer`, is to stay in the body; None: the codec begins anew."""
        if buffer is None:
            self.buffers.clear()
            return True
        view = _large(buffer, self.limit)
        if view is None:
            return True
        self.buffers.append(view)
        return False


def _large(buffer: Any, limit: int) -> memoryview | None:
    """The buffer's bytes, if they are to be a file; None where they stay in the body."""
    try:
        view: memoryview = buffer.raw()
    except BufferError:  # it is not contiguous, which the codec has to deal with
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
        """The draft with its large parts written to files. It is put next, or discarded."""
        body, contents = self._divided(draft.body, buffers)
        return draft._replace(body=body, spill=self.spill.write(draft.namespace, draft.name, contents, self._timeout))

    def discard(self, row: Row) -> None:
        """The row will not be put: its files go, if they were written for it."""
        if row.spill is not None:
            self.spill.discard(row.spill)

    def body(self, row: Row, *, foreign: bool) -> bytes:
        """The whole body of a row that has files, perhaps of somebody else. Raises: Corrupt, StorageError."""
        return row.body or self.spill.body(self._parts(row, foreign=foreign)[0])

    def read(self, row: Row, *, private: bool, foreign: bool) -> tuple[bytes, Iterable[memoryview]]:
        """The body and the buffers. Those are mapped unless they are to be `private`, which may be written.

        Of a `foreign` record they are private and checked: their writer could change them after the check. And
        each is read when it is asked for, since the body need not refer to any.

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

    def problems(self, row: Row, *, foreign: bool, content: bool = True) -> list[str]:
        """What is wrong with the files of a row; `content`: that of each compared with its checksum, too."""
        try:
            parts = self._parts(row, foreign=foreign)
        except Corrupt as exc:
            return [exc.message]
        return [problem for part in parts if (problem := self.spill.problem(part, content=content)) is not None]

    def contents(self, row: Row, *, foreign: bool) -> list[bytes | None]:
        """What there is of the files of a row, unchecked; None for one that is missing."""
        try:
            return [self.spill.contents(part) for part in self._parts(row, foreign=foreign)]
        except Corrupt:
            return []

    def restore(self, row: Row, origin: bytes, contents: Sequence[bytes | None], *, renamed: bool) -> Row:
        """The row with files of that content, going by the list that it had in the store with the id `origin`.

        `renamed`: under new names. What the list says of them stays, whatever they are. Where it is no list of that
        record the row stays as it is.
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

    def digest(self, body: bytes, buffers: Sequence[memoryview]) -> bytes:
        """As `digest_of` of the row that these would be written as."""
        in_row, contents = self._divided(body, buffers)
        return _digest(in_row, [checksum(content).hexdigest() for content in contents])

    def _divided(self, body: bytes, buffers: Sequence[memoryview]) -> tuple[bytes, list[bytes | memoryview]]:
        """What stays in the row as its body, and what goes to files."""
        if len(body) <= self.limit and (body or not buffers):
            return body, [*buffers]
        return b"", [body, *buffers]

    def _parts(self, row: Row, *, foreign: bool) -> list[Part]:
        """The files of a row. Raises: Corrupt: they are not its own; of somebody else, and made to take memory."""
        parts = parts_of(self._text(row), self._prefix(row))
        if foreign:
            self.spill.refuse_hollow(parts)
        return parts

    def _prefix(self, row: Row) -> str:
        return self.spill.prefix(row.namespace, row.name)

    def _text(self, row: Row) -> str:
        return row.spill or ""


class _Buffers:
    """Buffers that are read as they are asked for, in each iteration anew; `check` is called before the first."""

    def __init__(self, buffers: Sequence[Callable[[], memoryview]], check: Callable[[], None]) -> None:
        self._buffers, self._check = buffers, check

    def __iter__(self) -> Iterator[memoryview]:
        for number, read in enumerate(self._buffers):
            if not number:
                self._check()
            yield read()


def digest_of(row: Row) -> bytes:
    """Sixteen bytes that stand for the encoded value of a row that we packed: they differ if that does."""
    if row.spill is None:
        return _digest(row.body, [])
    import json

    return _digest(row.body, [digest for _, _, digest in json.loads(row.spill)])


def _digest(body: bytes, checksums: list[str]) -> bytes:
    digest = blake2b(body, digest_size=16)
    digest.update("".join(checksums).encode())
    return digest.digest()


def no_files() -> Corrupt:
    """The error for a row with files where there are none."""
    return Corrupt("its value is in files beside the store it was written to, and here there are none")
