"""The pages of a database that may be damaged, read from its bytes, with its log or journal applied."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator

from store.engines.sqlite.salvage.frames import Frame, frames_of, header_holds, is_sound, journaled, page_size
from store.engines.sqlite.salvage.pages import FILE_HEADER, MAGIC, SIZES, Format, node_of
from store.errors import StorageError
from store.system.descriptors import read_at

Page = Callable[[int], bytes | None]

SAMPLED = 64  # pages that are examined to guess the page size
FREE = 2  # of a page in the pointer map (section 1.8): it is on the freelist
_MAP_ENTRY = 5


class Image:
    """The pages of a database and its log. The log is in memory; the database is read page by page.

    Page numbers mean the same as for SQLite, except that a damaged frame of the log does not hide the commits after
    it. `older_pages` gives the replaced pages.
    """

    def __init__(self, descriptor: int, path: str, log: bytes = b"", journal: bytes = b"") -> None:
        self.path = path
        self.log = log
        self._journal = journal
        self.damage: list[str] = []
        self._descriptor = descriptor
        self.bytes = os.fstat(descriptor).st_size
        self.form = self._guessed_form()
        self._in_log: dict[int, int] = {}  # page → offset of its content in the log
        self._older: list[Frame] = []
        self.count = -(-self.bytes // self.form.size)
        self._lay_log_over()
        self._taken_back = self._take_back()
        self.free = self._free_pages()

    def page(self, number: int) -> bytes | None:
        """The last committed version of a page; None if there is none, or the file ends within it."""
        at = self._in_log.get(number)
        return self.base_page(number) if at is None else self.log[at : at + self.form.size]

    def base_page(self, number: int) -> bytes | None:
        """A page of the database without the log."""
        if not 0 < number <= self.count:
            return None
        if number in self._taken_back:
            return self._journal[self._taken_back[number] : self._taken_back[number] + self.form.size]
        data = self._read((number - 1) * self.form.size, self.form.size)
        return data if len(data) == self.form.size else None

    def partial_page(self, number: int) -> bytes:
        """The existing part of a page that the file ends within."""
        return self.page(number) or self._read((number - 1) * self.form.size, self.form.size)

    def older_pages(self) -> Iterator[tuple[int, bytes, Page]]:
        """The replaced pages: the number, the content, and a function that reads other pages of the same time."""
        for number in sorted(self._in_log):
            if (data := self.base_page(number)) is not None:
                yield number, data, self.base_page
        for frame in self._older:
            yield frame.page, self.log[frame.at : frame.at + self.form.size], self.page

    def map_entry(self, number: int) -> int:
        """The type of a page in the pointer map (section 1.8); 0 if it has no entry."""
        entries = self.form.usable // _MAP_ENTRY
        group = (number - 2) // (entries + 1)
        data = self.page(2 + group * (entries + 1))
        place = number - (2 + group * (entries + 1)) - 1
        return 0 if data is None or place < 0 else data[place * _MAP_ENTRY]

    def _read(self, at: int, size: int) -> bytes:
        try:
            return read_at(self._descriptor, size, at)
        except OSError as exc:
            if exc.errno != errno.EIO:
                raise StorageError(
                    f"{self.path} cannot be read: {exc.strerror}", errno=exc.errno, path=self.path
                ) from exc
            return b""  # a bad sector: the rest is still read

    # -- the format of the file

    def _guessed_form(self) -> Format:
        """The format in the header, if the pages match it; otherwise the one that most pages match."""
        header = self._read(0, FILE_HEADER)
        told = int.from_bytes(header[16:18], "big") if header[:16] == MAGIC else 0
        told, reserved = 65536 if told == 1 else told, header[20] if told else 0
        sizes = dict.fromkeys(size for size in (told, page_size(self.log), *SIZES) if size in SIZES)
        forms = dict.fromkeys(Format(size, size - less) for size in sizes for less in (reserved, 0) if less <= 32)
        if header[:16] != MAGIC and self.bytes:
            self.damage.append("page 1: the header of the file is gone")
        return max(forms, key=self._likeness)  # of equals the first

    def _likeness(self, form: Format) -> int:
        pages = max(1, self.bytes // form.size)
        found = 0
        for index in range(0, pages, max(1, pages // SAMPLED)):
            data = self._read(index * form.size, form.size)
            node = node_of(data, form, 0 if index else FILE_HEADER) if len(data) == form.size else None
            found += node is not None and node.sound
        return found * form.size  # a page that is read in quarters looks sound where its first is

    def _lay_log_over(self) -> None:
        frames = frames_of(self.log, self.form.size)
        current = [number for number, frame in enumerate(frames) if frame.current]
        commits = [number for number in current if frames[number].commit]
        last = commits[-1] if commits else -1
        for number, frame in enumerate(frames):
            if not frame.current:
                self._older.append(frame)
                if number < last:
                    self.damage.append(f"the log: frame {number + 1} is damaged")
            elif number <= last:
                if not is_sound(self.log, frame, self.form.size):
                    self.damage.append(f"the log: frame {number + 1}, of page {frame.page}, is damaged")
                before = self._in_log.get(frame.page)
                if before is not None:
                    self._older.append(frame._replace(at=before))
                self._in_log[frame.page] = frame.at
        if commits:
            largest = max(self.count, *self._in_log)
            self.count = (
                min(largest, frames[last].commit) if is_sound(self.log, frames[last], self.form.size) else largest
            )
        if frames and not header_holds(self.log):
            self.damage.append("the log: its header is damaged")

    def _take_back(self) -> dict[int, int]:
        """The pages before a transaction that a crash ended: page → its offset in the journal."""
        count, pages = journaled(self._journal, self.form.size)
        self.count = count or self.count
        return pages

    def _free_pages(self) -> set[int]:
        """The pages of the freelist (section 1.5), and those that are free in the pointer map."""
        first = self.page(1) or b""
        has_map = first[:16] != MAGIC or any(first[52:56])
        free = {number for number in range(3, self.count + 1) if has_map and self.map_entry(number) == FREE}
        trunk = int.from_bytes(first[32:36], "big") if first[:16] == MAGIC else 0
        seen: set[int] = set()
        while trunk and trunk not in seen and (data := self.page(trunk)) is not None:
            seen.add(trunk)
            leaves = min(int.from_bytes(data[4:8], "big"), self.form.usable // 4 - 2)
            free.update(int.from_bytes(data[at : at + 4], "big") for at in range(8, 8 + 4 * leaves, 4))
            trunk = int.from_bytes(data[:4], "big")
        return free | seen
