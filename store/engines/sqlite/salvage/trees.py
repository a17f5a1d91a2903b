"""Walks the b-trees of a database that may be damaged, and records the damage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from store.engines.sqlite.salvage.image import Image, Page
from store.engines.sqlite.salvage.pages import (
    FILE_HEADER,
    INDEX_INNER,
    INDEX_LEAF,
    TABLE_INNER,
    TABLE_LEAF,
    Cell,
    Node,
    node_of,
    record_values,
)

LEAST, LARGEST = -(2**63), 2**63 - 1
DEEPEST = 20  # levels; SQLite's own trees have no more
BUDGET = 16  # times the bytes of the file that overflow pages may be read, whatever their chains say


class Leaf(NamedTuple):
    """A page of rows; `low` < row id <= `high` is its range of the table, None if the range is uncertain."""

    page: int
    node: Node
    low: int | None
    high: int

    def is_whole(self) -> bool:
        """Whether the page cannot have had other rows of its range."""
        ids = [cell.rowid for cell in self.node.cells]
        return (
            self.low is not None
            and self.node.sound
            and ids == sorted(set(ids))
            and (not ids or (self.low < ids[0] and ids[-1] <= self.high))
        )


class Trees:
    """Walks the tables and indexes of an image. `damage` lists the problems."""

    def __init__(self, image: Image) -> None:
        self.image = image
        self.damage: list[str] = []
        self._budget = BUDGET * (image.bytes + len(image.log))

    def node(self, number: int) -> Node | None:
        """The b-tree page with that number, None if it is not one."""
        data = self.image.page(number)
        return None if data is None else node_of(data, self.image.form, FILE_HEADER if number == 1 else 0)

    def roots(self) -> dict[str, int]:
        """The root page of each table and index by name, from the readable part of the schema."""
        found: dict[str, int] = {}
        for leaf in self.leaves(1):
            data = self.image.page(leaf.page) or b""
            for cell in leaf.node.cells:
                values = record_values(self.payload(data, cell, table=True) or b"")
                if values is not None and len(values) == 5 and isinstance(values[1], str):
                    root = values[3]
                    if isinstance(root, int) and 1 < root <= self.image.count:
                        found[values[1]] = root
        return found

    def leaves(self, root: int) -> Iterator[Leaf]:
        """The leaves of a table, in the order of their row ids."""
        waiting: list[tuple[int, int | None, int, int]] = [(root, LEAST, LARGEST, 0)]
        seen: set[int] = set()
        while waiting:
            number, low, high, depth = waiting.pop()
            node = self.node(number)
            if number in seen or depth > DEEPEST or node is None or node.kind not in (TABLE_INNER, TABLE_LEAF):
                self.damage.append(f"page {number}: no page of the table it belongs to")
                continue
            seen.add(number)
            if node.kind == TABLE_LEAF:
                yield Leaf(number, node, low, high)
            else:
                waiting += reversed([(*child, depth + 1) for child in self._children(number, node, low, high)])

    def _children(self, number: int, node: Node, low: int | None, high: int) -> Iterator[tuple[int, int | None, int]]:
        keys = [cell.rowid for cell in node.cells]
        ordered = (
            node.sound and low is not None and keys == sorted(set(keys)) and all(low < key <= high for key in keys)
        )
        if not ordered:
            self.damage.append(f"page {number}: its parts do not fit together")
        before = low if ordered else None
        for cell in node.cells:
            yield cell.child, before, cell.rowid
            before = cell.rowid if ordered else None
        yield node.right, before, high

    def entries(self, root: int) -> Iterator[list[Any]]:
        """The entries of an index, in any order."""
        waiting, seen = [(root, 0)], set[int]()
        while waiting:
            number, depth = waiting.pop()
            node = self.node(number)
            if number in seen or depth > DEEPEST or node is None or node.kind not in (INDEX_INNER, INDEX_LEAF):
                self.damage.append(f"page {number}: no page of the index it belongs to")
                continue
            seen.add(number)
            if not node.sound:
                self.damage.append(f"page {number}: its parts do not fit together")
            data = self.image.page(number) or b""
            for cell in node.cells:
                if node.kind == INDEX_INNER:
                    waiting.append((cell.child, depth + 1))
                values = record_values(self.payload(data, cell, table=False) or b"")
                if values is None:
                    self.damage.append(f"page {number}: an entry of an index that cannot be read")
                else:
                    yield values
            if node.kind == INDEX_INNER:
                waiting.append((node.right, depth + 1))

    def payload(self, data: bytes, cell: Cell, *, table: bool, page: Page | None = None) -> bytes | None:
        """The whole payload of a cell, with its overflow pages; None if these end too soon."""
        local = self.image.form.local(cell.payload, table=table)
        content = data[cell.at : cell.at + local]
        if local == cell.payload:
            return content
        after = int.from_bytes(data[cell.at + local : cell.at + local + 4], "big")
        return self._followed(content, after, cell.payload, page or self.image.page)

    def _followed(self, content: bytes, after: int, size: int, page: Page) -> bytes | None:
        """The payload in the cell and in its chain of overflow pages (section 1.6)."""
        if size > self._budget or size > self.image.count * self.image.form.usable:
            return None
        self._budget -= size
        parts, left = [content], size - len(content)
        while left > 0:
            data = page(after)
            if data is None:
                return None
            after = int.from_bytes(data[:4], "big")
            parts.append(data[4 : min(self.image.form.usable, 4 + left)])
            left -= len(parts[-1])
        return b"".join(parts)
