"""The list of files of a record: what is one, and what is made of anything else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from store.errors import Corrupt
from store.rows.spilled import MAX_PARTS, Part, files_of, is_file, new_file, parts_of, prefix_of, size_of, text_of

STORE = bytes(range(16))
PREFIX = prefix_of(STORE, "space", "name")
OTHER = prefix_of(STORE, "space", "another")
SUM = "0" * 64


def part(file: Any = None, size: Any = 5, checksum: Any = SUM) -> list[Any]:
    return [new_file(PREFIX) if file is None else file, size, checksum]


def test_what_is_written_is_read() -> None:
    parts = [Part(new_file(PREFIX), 5, SUM), Part(new_file(PREFIX), 0, "f" * 64)]
    assert parts_of(text_of(parts), PREFIX) == parts
    assert files_of(text_of(parts), PREFIX) == [each.file for each in parts]
    assert size_of(text_of(parts)) == 5


def test_form_on_disk_does_not_change() -> None:
    assert prefix_of(STORE, "ä", "n") == "8ea94602f847b12cc1bfa7f2f7ac1165"
    file = new_file("a" * 32, bytes)
    assert file == "a" * 32 + "-" + "0" * 32
    assert text_of([Part(file, 7, SUM)]) == f'[["{file}",7,"{SUM}"]]'


def test_prefix_tells_records_apart() -> None:
    places = [(STORE, "a", "bc"), (STORE, "ab", "c"), (STORE, "", "abc"), (STORE, "abc", ""), (bytes(16), "a", "bc")]
    assert len({prefix_of(*place) for place in places}) == len(places)


FILE = new_file(PREFIX)
WRONG = {
    "no list": "{}",
    "nothing": "[]",
    "empty": "",
    "no JSON": "[[",
    "deep": "[" * 100_000,
    "a number": "17",
    "a digit too many": "[" + "9" * 5000 + "]",
    "text": '"x"',
    "NUL": "\0",
    "not a list inside": '["/etc/passwd"]',
    "two fields": json.dumps([[FILE, 5]], separators=(",", ":")),
    "four fields": json.dumps([[FILE, 5, SUM, 1]], separators=(",", ":")),
    "other record": json.dumps([part(new_file(OTHER))], separators=(",", ":")),
    "path": json.dumps([part("../../etc/passwd")], separators=(",", ":")),
    "absolute": json.dumps([part("/etc/passwd")], separators=(",", ":")),
    "path with prefix": json.dumps([part(f"{PREFIX}-/../{'0' * 27}")], separators=(",", ":")),
    "upper case": json.dumps([part(FILE.upper())], separators=(",", ":")),
    "new line": json.dumps([part(FILE + "\n")], separators=(",", ":")),
    "name is a number": json.dumps([part(5)], separators=(",", ":")),
    "other digits": json.dumps([part(FILE[:-1] + "\u0661")], separators=(",", ":")),
    "negative size": json.dumps([part(size=-1)], separators=(",", ":")),
    "true for a size": json.dumps([part(size=True)], separators=(",", ":")),
    "half a size": json.dumps([part(size=1.5)], separators=(",", ":")),
    "size of text": json.dumps([part(size="5")], separators=(",", ":")),
    "enormous size": json.dumps([part(size=2**63)], separators=(",", ":")),
    "no checksum": json.dumps([part(checksum="")], separators=(",", ":")),
    "null for a checksum": json.dumps([part(checksum=None)], separators=(",", ":")),
    "checksum of something": json.dumps([part(checksum="x" * 64)], separators=(",", ":")),
    "twice the same": json.dumps([part(FILE), part(FILE)], separators=(",", ":")),
    "one of two": json.dumps([part(), part("x")], separators=(",", ":")),
    "spaces": json.dumps([part()]),
    "too many": json.dumps([part() for _ in range(MAX_PARTS + 1)], separators=(",", ":")),
}


@pytest.mark.parametrize("text", WRONG.values(), ids=list(WRONG))
def test_anything_else_is_corrupt(text: str) -> None:
    with pytest.raises(Corrupt, match="nothing was opened"):
        parts_of(text, PREFIX)
    assert size_of(text) >= 0
    assert all(is_file(file) and file.startswith(PREFIX) for file in files_of(text, PREFIX))


def test_files_of_other_records_are_never_given_up() -> None:
    text = json.dumps([part(FILE), part(new_file(OTHER)), part("../x"), 17, None, []])
    assert files_of(text, PREFIX) == [FILE]
    assert files_of(text, PREFIX, but=[FILE]) == []


@pytest.mark.parametrize("column", [None, 17, b"x", 1.5])
def test_columns_that_hold_something_else(column: Any) -> None:
    assert size_of(column) == 0
    assert files_of(column, PREFIX) == []
