"""Finds the roots in a damaged database: the table of records, the index of their names, the id of the store."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import islice

from store.engines.sqlite.salvage.carving import carved, mended, row_of, store_ids
from store.engines.sqlite.salvage.image import Image
from store.engines.sqlite.salvage.pages import INDEX_INNER, INDEX_LEAF, TABLE_INNER, TABLE_LEAF, record_values
from store.engines.sqlite.salvage.trees import Trees
from store.rows.row import Row

ROOT = 1  # of a page in the pointer map (section 1.8)
SAMPLES = 50  # rows to test an id of the store on, and entries to recognise an index by


def ids_of(image: Image) -> Iterator[bytes]:
    """Candidates for the id of the store, the likeliest first; some come twice."""
    trees = Trees(image)
    root = trees.roots().get("identity")
    if root is not None:
        yield from store_ids(image.page(root) or b"")
    for number in range(1, image.count + 1):
        yield from store_ids(image.partial_page(number))
    for _, data, _ in image.older_pages():
        yield from store_ids(data)


def sample_of(image: Image) -> list[Row]:
    """Some rows, to test an id of the store on."""
    trees, found = Trees(image), list[Row]()
    for number in range(1, image.count + 1):
        data = image.partial_page(number)
        for cell, _ in carved(data, image.form):
            row = row_of(record_values(mended(trees.payload(data, cell, table=True) or b"")), None)
            if row is not None:
                found.append(row)
                if len(found) == SAMPLES:
                    return found
    return found


def table_root(trees: Trees) -> int | None:
    """The root of `records`: from the schema, or recognised by its rows."""
    told = trees.roots().get("records")
    for number in _roots(trees, told):
        if _is_table(trees, number) and _has_rows(trees, number):
            return number
    return told if told is not None and _is_table(trees, told) else None  # an empty one


def _is_table(trees: Trees, number: int) -> bool:
    node = trees.node(number)
    return node is not None and node.kind in (TABLE_INNER, TABLE_LEAF)


def _has_rows(trees: Trees, root: int) -> bool:
    """Whether a table has rows that look like ours."""
    looked = Trees(trees.image)
    for leaf in looked.leaves(root):
        data = trees.image.page(leaf.page) or b""
        for cell in leaf.node.cells:
            if len(record_values(looked.payload(data, cell, table=True) or b"") or ()) == len(Row._fields):
                return True
    return False


def index_root(trees: Trees, known: Collection[tuple[str, str]]) -> int | None:
    """The root of the index of names: from the schema, or the one that has most of some known names.

    Without known names it can only come from the schema.
    """
    told = trees.roots().get("sqlite_autoindex_records_1")
    best, most = None, 0
    for number in _roots(trees, told):
        node = trees.node(number)
        if node is not None and node.kind in (INDEX_INNER, INDEX_LEAF):
            some = list(islice(Trees(trees.image).entries(number), SAMPLES))
            matching = sum(len(entry) == 3 and tuple(entry[:2]) in known for entry in some)
            if matching > most or (number == told and best is None and not (some and known)):
                best, most = number, matching
    return best


def _roots(trees: Trees, told: int | None) -> Iterator[int]:
    """The root in the schema, if the pointer map agrees; the other roots of the map; then the schema's anyway."""
    image = trees.image
    roots = [number for number in range(3, image.count + 1) if image.map_entry(number) == ROOT]
    if told in roots:
        yield told
    yield from roots
    if told is not None:
        yield told
