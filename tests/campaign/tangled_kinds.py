"""Damage that keeps a file readable and leads its readers astray: crossed pointers, cycles, rewritten cells.

After https://www.sqlite.org/fileformat2.html. What is changed in the log gets its checksums anew: SQLite reads it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random

from .damage_kinds import KINDS as PLAIN

INNER = (0x02, 0x05)
LEAVES = (0x0A, 0x0D)
LOG_HEADER, FRAME_HEADER = 32, 24


class Pages:
    """The pages of a database, as they may be changed."""

    def __init__(self, content: bytearray) -> None:
        self.content = content
        size = int.from_bytes(content[16:18], "big")
        self.size = 65536 if size == 1 else size
        self.count = len(content) // self.size

    def header(self, page: int) -> int:
        return (page - 1) * self.size + (100 if page == 1 else 0)

    def of_kind(self, kinds: tuple[int, ...]) -> list[int]:
        return [page for page in range(1, self.count + 1) if self.content[self.header(page)] in kinds]

    def cells(self, page: int) -> list[int]:
        """Where the places of the cells of a page stand."""
        at = self.header(page)
        first = at + (12 if self.content[at] in INNER else 8)
        number = int.from_bytes(self.content[at + 3 : at + 5], "big")
        return [place for place in range(first, first + 2 * number, 2) if place + 2 <= page * self.size]

    def cell(self, page: int, place: int) -> int:
        """Where a cell begins, not further than the page goes."""
        start = (page - 1) * self.size
        return start + min(int.from_bytes(self.content[place : place + 2], "big"), self.size - 16)

    def put(self, at: int, value: int, size: int = 4) -> None:
        self.content[at : at + size] = value.to_bytes(size, "big")


def _some_page(rng: Random, pages: Pages, here: int) -> int:
    """A page to lead to: most often one that makes a circle, or a tree of another kind."""
    inner = pages.of_kind(INNER)
    return rng.choice([here, here, rng.choice(inner or [1]), rng.randint(1, pages.count), rng.randint(0, pages.count + 1)])


def child(rng: Random, pages: Pages) -> str:
    inner = pages.of_kind(INNER)
    if not inner:
        return plain(rng, pages)
    page = rng.choice(inner)
    target = _some_page(rng, pages, page)
    where = [pages.cell(page, place) for place in pages.cells(page)] + [pages.header(page) + 8]
    pages.put(rng.choice(where), target)
    return f"a child of page {page} is {target}"


def children(rng: Random, pages: Pages) -> str:
    """Each way down leads to the same page: as many paths as there are cells, to the power of the depth."""
    inner = pages.of_kind(INNER)
    if not inner:
        return plain(rng, pages)
    page = rng.choice(inner)
    target = _some_page(rng, pages, page)
    for place in pages.cells(page):
        pages.put(pages.cell(page, place), target)
    pages.put(pages.header(page) + 8, target if rng.random() < 0.5 else _some_page(rng, pages, page))
    return f"all children of page {page} are {target}"


def root(rng: Random, pages: Pages) -> str:
    """A page becomes an inner one whose children are itself and others."""
    page = rng.choice(pages.of_kind(INNER + LEAVES) or [1])
    at = pages.header(page)
    pages.content[at] = rng.choice(INNER)
    pages.put(at + 8, _some_page(rng, pages, page))
    return f"page {page} is an inner one"


def copied(rng: Random, pages: Pages) -> str:
    one, other = rng.randint(1, pages.count), rng.randint(1, pages.count)
    size = pages.size
    pages.content[(other - 1) * size : other * size] = pages.content[(one - 1) * size : one * size]
    return f"page {other} is page {one}"


def swapped(rng: Random, pages: Pages) -> str:
    one, other = rng.randint(2, pages.count), rng.randint(2, pages.count)
    size, content = pages.size, pages.content
    first, second = slice((one - 1) * size, one * size), slice((other - 1) * size, other * size)
    content[first], content[second] = content[second], content[first]
    return f"pages {one} and {other} swapped"


def places(rng: Random, pages: Pages) -> str:
    """Cells of a page in another order, or the same one for several."""
    page = rng.choice(pages.of_kind(INNER + LEAVES) or [1])
    cells = pages.cells(page)
    for _ in range(rng.choice([1, 1, 3, len(cells)])):
        if cells:
            one, other = rng.choice(cells), rng.choice(cells)
            pages.content[one : one + 2] = pages.content[other : other + 2]
    return f"cells of page {page} are others"


def number(rng: Random, pages: Pages) -> str:
    """The first numbers of a cell: sizes, row ids, keys."""
    page = rng.choice(pages.of_kind(INNER + LEAVES) or [1])
    cells = pages.cells(page)
    for place in cells if rng.random() < 0.3 else [rng.choice(cells)] if cells else []:
        at = pages.cell(page, place) + rng.randrange(4 if pages.content[pages.header(page)] in INNER else 0, 8)
        pages.content[at] = rng.choice([0, 1, 0x7F, 0x80, 0x81, 0xFF, rng.randrange(256)])
    return f"numbers in cells of page {page}"


def chain(rng: Random, pages: Pages) -> str:
    """What stands first on a page that is none of a tree: the next one of a chain, or of the free ones."""
    trees = set(pages.of_kind(INNER + LEAVES))
    page = rng.choice([page for page in range(2, pages.count + 1) if page not in trees] or [2])
    target = _some_page(rng, pages, page)
    if rng.random() < 0.8 or page > pages.count:
        pages.put((page - 1) * pages.size, target)
    else:
        pages.put((page - 1) * pages.size + 4 * rng.randrange(1, 40), rng.choice([target, 2**32 - 1, 2**31]))
    return f"page {page} goes on at {target}"


def header(rng: Random, pages: Pages) -> str:
    """How many pages there are, where the free ones begin and how many, the largest root."""
    at = rng.choice([28, 32, 36, 52])
    value = rng.choice([0, 1, pages.count, pages.count + 1, 2**32 - 1, rng.randint(1, pages.count)])
    pages.put(at, value)
    return f"the header's field at {at} is {value}"


def plain(rng: Random, pages: Pages) -> str:
    return rng.choice(PLAIN[:-1])(rng, pages.content, rng.randrange(len(pages.content)))[0]


KINDS: list[Callable[[Random, Pages], str]] = [
    *[child] * 4, *[children] * 4, *[root] * 2, *[copied] * 3, *[swapped] * 2, *[places] * 3, *[number] * 4,
    *[chain] * 3, header, *[plain] * 2,
]  # fmt: skip


def tangled(rng: Random, files: dict[str, bytes]) -> tuple[dict[str, bytes], str]:
    """The files with one to four damages, and what they are."""
    changed = dict(files)
    log = bytearray(files.get("-wal", b""))
    if log and rng.random() < 0.7:
        what = _in_log(rng, log)
        changed["-wal"] = bytes(log)
        return changed, what
    pages = Pages(bytearray(files[""]))
    whats = [rng.choice(KINDS)(rng, pages) for _ in range(rng.choice([1, 1, 2, 4]))]
    changed[""] = bytes(pages.content)
    return changed, "; ".join(whats)


def _in_log(rng: Random, log: bytearray) -> str:
    """Pages of frames damaged as those of a database, frames of other pages, a number of pages that is not so."""
    size = int.from_bytes(log[8:12], "big")
    step = FRAME_HEADER + size
    frames = list(range(LOG_HEADER, len(log) - step + 1, step))
    whats = []
    for _ in range(rng.choice([1, 2, 4])):
        at = rng.choice(frames)
        way = rng.randrange(3)
        if way == 0:
            log[at : at + 4] = rng.randint(1, 40).to_bytes(4, "big")
            whats.append(f"the frame at {at} is of another page")
        elif way == 1:
            log[at + 4 : at + 8] = rng.choice([0, 1, rng.randint(1, 100), 2**31]).to_bytes(4, "big")
            whats.append(f"the frame at {at} ends another commit")
        else:
            whats.append(_in_frame(rng, log, at, size))
    _seal(log, frames, size)
    return "; ".join(whats)


def _in_frame(rng: Random, log: bytearray, at: int, size: int) -> str:
    content = bytes(2 * size) + bytes(log[at + FRAME_HEADER : at + FRAME_HEADER + size])
    pages = Pages(bytearray(size.to_bytes(2, "big").rjust(18, b"\0") + content[18:]))
    what = rng.choice([child, children, root, places, number])(rng, pages)
    log[at + FRAME_HEADER : at + FRAME_HEADER + size] = pages.content[2 * size : 3 * size]
    return f"in the frame at {at}: {what}"


def _seal(log: bytearray, frames: list[int], size: int) -> None:
    order = ">" if log[3] & 1 else "<"
    sums = _checksum(log[:24], order, (0, 0))
    for at in frames:
        sums = _checksum(log[at : at + 8], order, sums)
        sums = _checksum(log[at + FRAME_HEADER : at + FRAME_HEADER + size], order, sums)
        log[at + 16 : at + 24] = struct.pack(">II", *sums)


def _checksum(data: bytes, order: str, sums: tuple[int, int]) -> tuple[int, int]:
    """That of section 4.2."""
    one, two = sums
    for first, second in struct.iter_unpack(f"{order}II", data):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    return one, two
