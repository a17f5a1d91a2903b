"""Reads the bytes of a pickle, opcode by opcode, and enforces frames."""

from __future__ import annotations

from typing import IO

from store.codecs.restricted.limits import Budget
from store.errors import Corrupt

_PIECE = 1 << 20  # bytes read from a file at once: a length is unverified until the bytes are read


class Reader:
    """Reads from bytes, or from a file exactly to the end of the pickle.

    Only the bytes read (and buffers) increase the budget.
    """

    def __init__(self, source: bytes | IO[bytes], budget: Budget) -> None:
        self._budget = budget
        self._file = None if isinstance(source, bytes) else source
        self._data = source if isinstance(source, bytes) else b""
        self._position = 0
        self._limit = len(self._data)  # the end of the frame, or of the bytes read
        self._in_frame = False
        budget.grow(len(self._data))

    def opcode(self) -> int:
        """The next opcode. Raises: EOFError: there is none."""
        position = self._position
        if position >= self._limit:
            self._leave_frame()
            if self._position >= self._limit and not self._fetch(1):
                raise EOFError("Ran out of input")
            position = self._position
        self._position = position + 1
        return self._data[position]

    def take(self, size: int) -> bytes:
        """Exactly `size` bytes."""
        end = self._position + size
        if end > self._limit:
            self._require(size)
            end = self._position + size
        data = self._data[self._position : end]
        self._position = end
        return data

    def number(self, size: int) -> int:
        """An unsigned little-endian number of that many bytes."""
        return int.from_bytes(self.take(size), "little")

    def line(self) -> bytes:
        """The bytes up to the next line feed, without it."""
        end = self._data.find(b"\n", self._position, self._limit)
        while end < 0:
            if self._in_frame:
                raise Corrupt("a text reaches beyond its frame")
            if not self._fetch_line():
                raise truncated()
            end = self._data.find(b"\n", self._position, self._limit)
        data = self._data[self._position : end]
        self._position = end + 1
        return data

    def frame(self, size: int) -> None:
        """A frame of that many bytes begins here."""
        if self._in_frame and self._position < self._limit:
            raise Corrupt("a frame begins before the one before it ends")
        self._leave_frame()
        if self._position + size > self._limit:
            self._require(size)
        self._in_frame = True
        self._limit = self._position + size

    def unframed(self, size: int) -> bytes:
        """Exactly `size` bytes that belong to no opcode and no frame."""
        if self._in_frame and self._position < self._limit:
            raise Corrupt("bytes that are of no opcode are in a frame")
        self._leave_frame()
        return self.take(size)

    def end(self) -> int:
        """End the pickle, whose frame must end too; returns the number of bytes left over."""
        if self._in_frame and self._position < self._limit:
            raise Corrupt("it ends before its frame does")
        self._leave_frame()
        return len(self._data) - self._position

    def _leave_frame(self) -> None:
        self._in_frame = False
        self._limit = len(self._data)

    def _require(self, size: int) -> None:
        """Ensure that `size` bytes can be taken. Raises: Corrupt."""
        if self._in_frame:
            if self._position < self._limit:
                raise Corrupt("an argument reaches beyond its frame")
            raise Corrupt("a frame ends between an opcode and its argument")
        if not self._fetch(self._position + size - self._limit):
            raise truncated()

    def _fetch(self, size: int) -> bool:
        """Read `size` more bytes of the file; whether it has them."""
        if self._file is None:
            return False
        pieces = [self._data[self._position :]]
        while size > 0:
            piece = self._file.read(min(size, _PIECE))
            if not piece:
                return False
            pieces.append(piece)
            size -= len(piece)
        self._keep(pieces)
        return True

    def _fetch_line(self) -> bool:
        """Read the file up to its next line feed; whether it has one."""
        if self._file is None:
            return False
        pieces = [self._data[self._position :]]
        while not pieces[-1].endswith(b"\n") or len(pieces) == 1:
            piece = self._file.readline(_PIECE)
            if not piece:
                return False
            pieces.append(piece)
        self._keep(pieces)
        return True

    def _keep(self, pieces: list[bytes]) -> None:
        self._budget.grow(sum(map(len, pieces[1:])))
        self._data = b"".join(pieces)
        self._position, self._limit = 0, len(self._data)


def truncated() -> Corrupt:
    """The error for a stream that ends too early."""
    return Corrupt("its bytes end too early: the pickle is truncated")
