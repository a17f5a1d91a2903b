"""Selects the rows of a damaged database to keep: those of its table, and others that fill gaps in it.

A row with a valid seal was written once, but it may have been replaced or deleted since, with its bytes left behind.
So rows that are reached from the root of the table come first. Rows elsewhere (on unreferenced or free pages, in
earlier frames of a log) are used only for a row id that no whole page of the table covers, and, if the index of names
is whole, only if the index has them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple

from store.engines.sqlite.salvage.carving import carved, mended, row_of
from store.engines.sqlite.salvage.image import Image, Page
from store.engines.sqlite.salvage.pages import TABLE_LEAF, Cell, node_of, record_values
from store.engines.sqlite.salvage.roots import index_root, table_root
from store.engines.sqlite.salvage.trees import Leaf, Trees
from store.rows.row import Row

Key = tuple[str, str]
LIVE, LOOSE, CARVED, OLD = 1, 2, 3, 4  # reached; on a page that is not free; by its looks; on a free or replaced page


class Place(NamedTuple):
    """The location of a row, and the values that show which of two rows is later."""

    kind: int
    rowid: int | None
    revision: int
    created: float
    modified: float
    data: bytes | int
    cell: Cell
    page: Page

    def is_later(self, other: Place) -> bool:
        return self.age() > other.age()

    def age(self) -> tuple[bool, float, int, float]:
        return self.kind <= LOOSE, self.created, self.revision, self.modified


@dataclass(slots=True)
class Salvaged:
    """The locations and ids of the rows to keep; which may be old versions; which are lost, and why."""

    places: dict[Key, Place] = field(default_factory=dict)
    ids: dict[Key, int] = field(default_factory=dict)
    unsure: list[Key] = field(default_factory=list)
    lost: dict[Key, str] = field(default_factory=dict)
    damage: list[str] = field(default_factory=list)


class Salvage:
    """Finds the rows of one image. `holds` returns whether a row's seal is valid; `step` is called for each page."""

    def __init__(self, image: Image, holds: Callable[[Row], bool], step: Callable[[], None]) -> None:
        self._image, self._holds, self._step = image, holds, step
        self._trees = Trees(image)
        self._found = Salvaged(damage=list(image.damage))
        self._covered: list[tuple[int, int]] = []  # ranges of the table whose rows are all known
        self._bad: dict[int, Row | None] = {}  # rows of the table with invalid seals, by their ids
        self._done: set[int] = set()  # pages that need no further search
        self._fillers: dict[Key, Place] = {}
        self._broken: dict[Key, int | None] = {}  # possible rows elsewhere with invalid seals
        self._listed: dict[int, Key] | None = None  # the index of names, if it is whole
        self._names: set[Key] = set()
        self._named: dict[int, Key] = {}  # the readable part of the index, for the report

    def run(self) -> Salvaged:
        """The rows to keep, and the lost ones."""
        whole = self._walk()
        self._listed = self._index()
        self._names = set((self._listed or {}).values())
        missing = self._listed and not self._listed.keys() <= {place.rowid for place in self._found.places.values()}
        if whole and missing:  # it was not the table's root, but one of its pages
            self._found.damage.append("the table of records does not have all rows that the index of their names has")
            self._covered.clear()
            self._done.clear()
        if missing or not whole:
            self._fill()
        self._number()
        self._tell_lost()
        self._found.damage = list(dict.fromkeys(self._found.damage + self._trees.damage))
        return self._found

    def read(self, place: Place) -> Row:
        """The row at a place."""
        row = self._row(place.data, place.cell, place.rowid, place.page, by_looks=place.kind > LOOSE)
        assert row is not None
        return row

    # -- rows of the table

    def _walk(self) -> bool:
        """Read the table; returns whether it is whole, so that no row can be elsewhere."""
        root = table_root(self._trees)
        if root is None:
            self._found.damage.append("the beginning of the table of records was not found")
            return False
        before = len(self._trees.damage)
        whole = True
        for leaf in self._trees.leaves(root):
            whole = self._take_leaf(leaf) and whole
            self._step()
        self._covered.sort()
        return whole and len(self._trees.damage) == before

    def _take_leaf(self, leaf: Leaf) -> bool:
        """Read a page; returns whether all its rows are valid and no others can be missing."""
        whole, holding = leaf.is_whole(), True
        data = self._image.page(leaf.page) or b""
        for cell in leaf.node.cells:
            row = self._row(data, cell, cell.rowid, self._image.page)
            reached = leaf.low is not None and leaf.low < cell.rowid <= leaf.high
            if row is not None and self._holds(row):
                places = self._found.places if reached else self._fillers
                _keep(
                    places, row, Place(LIVE if reached else LOOSE, *_age_of(row), leaf.page, cell, self._image.page)
                )
            else:
                holding = False
                if reached:
                    self._bad[cell.rowid] = row
        if whole:
            self._covered.append((leaf.low or 0, leaf.high))
        else:
            self._found.damage.append(f"page {leaf.page}: its parts do not fit together")
        if whole and holding:
            self._done.add(leaf.page)
        return whole and holding

    # -- rows that fill its gaps

    def _index(self) -> dict[int, Key] | None:
        """Row id → namespace and name, from the index of names; None if that is not whole."""
        root = index_root(self._trees, self._found.places)
        before = len(self._trees.damage)
        listed: dict[int, Key] = {}
        whole = root is not None
        for values in () if root is None else self._trees.entries(root):
            namespace, name, rowid = values if len(values) == 3 else (None, None, None)
            if isinstance(namespace, str) and isinstance(name, str) and isinstance(rowid, int):
                whole = whole and rowid not in listed
                listed[rowid] = namespace, name
            else:
                whole = False
        self._named = listed
        return listed if whole and len(self._trees.damage) == before else None

    def _fill(self) -> None:
        loose, self._fillers = self._fillers, {}
        for key, place in loose.items():
            if key not in self._found.places and self._may_be(key, place):
                self._fillers[key] = place
        for number in range(1, self._image.count + 1):
            if number not in self._done:
                self._search(number, self._image.partial_page(number), self._image.page, number in self._image.free)
            self._step()
        for _, data, page in self._image.older_pages():
            self._search(data, data, page, True)
        for key, place in self._fillers.items():
            self._found.places[key] = place
            if self._listed is None or place.kind > LOOSE:
                self._found.unsure.append(key)

    def _search(self, source: bytes | int, data: bytes, page: Page, old: bool) -> None:
        """Search one page for rows, by its cells and by the pattern of rows."""
        node = node_of(data, self._image.form) if len(data) == self._image.form.size else None
        cells = node.cells if node is not None and node.kind == TABLE_LEAF else []
        for cell in cells:
            self._consider(source, data, cell, cell.rowid, page, OLD if old else LOOSE)
        for cell, has_id in carved(data, self._image.form):
            self._consider(source, data, cell, cell.rowid if has_id else None, page, OLD if old else CARVED)

    def _consider(
        self, source: bytes | int, data: bytes, cell: Cell, rowid: int | None, page: Page, kind: int
    ) -> None:
        row = self._row(data, cell, rowid, page, by_looks=kind > LOOSE)
        if row is None or (row.namespace, row.name) in self._found.places:
            return
        key = row.namespace, row.name
        place = Place(kind, *_age_of(row), source, cell, page)
        if not self._may_be(key, place):
            return
        if self._holds(row):
            _keep(self._fillers, row, place)
        elif kind != OLD:
            self._broken[key] = rowid

    def _may_be(self, key: Key, place: Place) -> bool:
        """Whether a row outside of the table can be the last version of its record."""
        rowid = place.rowid
        if self._listed is not None and (key not in self._names if rowid is None else self._listed.get(rowid) != key):
            return False
        if rowid is None:
            return True
        bad = self._bad.get(rowid)
        if bad is not None and (bad.namespace, bad.name) == key:
            return place.revision >= bad.revision
        return rowid in self._bad or not self._is_covered(rowid)

    def _is_covered(self, rowid: int) -> bool:
        place = bisect_left(self._covered, (rowid, -(2**63))) - 1
        return place >= 0 and self._covered[place][0] < rowid <= self._covered[place][1]

    # -- the report

    def _number(self) -> None:
        """Number the rows: each keeps its id, which no seal covers; of two with one id the second gets a new one."""
        ids, names = self._found.ids, {key: rowid for rowid, key in self._named.items()}
        without: list[Key] = []
        taken: set[int] = set()
        for key, place in sorted(self._found.places.items(), key=lambda item: item[1].kind):
            rowid = names.get(key) if place.rowid is None else place.rowid
            if rowid is None or rowid in taken:
                without.append(key)
            else:
                ids[key] = rowid
                taken.add(rowid)
        ids.update(zip(without, count(max(taken, default=0) + 1), strict=False))

    def _tell_lost(self) -> None:
        kept, lost = self._found.places, self._found.lost
        ids = {place.rowid for place in kept.values()}
        for rowid, row in self._bad.items():
            key = self._named.get(rowid) or (None if row is None else (row.namespace, row.name))
            if key is None:
                self._found.damage.append(f"the row with id {rowid} cannot be read")
            elif key not in kept and rowid not in ids:
                lost[key] = "its bytes do not match its seal"
        for rowid, key in self._named.items():
            if key not in kept and rowid not in ids:
                lost.setdefault(key, "the page that it was on is damaged")
        if self._listed is None:
            for key, broken in self._broken.items():
                if key not in kept and (broken is None or broken not in ids):
                    lost.setdefault(key, "its bytes do not match its seal")

    def _row(
        self, source: bytes | int, cell: Cell, rowid: int | None, page: Page, *, by_looks: bool = False
    ) -> Row | None:
        data = self._image.partial_page(source) if isinstance(source, int) else source
        payload = self._trees.payload(data, cell, table=True, page=page)
        if payload is None:
            return None
        return row_of(record_values(mended(payload) if by_looks else payload), rowid)


def _age_of(row: Row) -> tuple[int | None, int, float, float]:
    return row.id, row.revision, row.created, row.modified


def _keep(places: dict[Key, Place], row: Row, place: Place) -> None:
    key = row.namespace, row.name
    known = places.get(key)
    if known is None or place.is_later(known):
        places[key] = place
