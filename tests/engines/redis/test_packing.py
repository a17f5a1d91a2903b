"""Rows come back from their bytes as they were, in each form that the contract has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.engines.contract import Fields, of_row
from store.engines.redis.packing import pack, unpack
from store.errors import Corrupt, Unsupported
from store.rows.row import Row

TEXTS = st.text(max_size=20)
TIMES = st.floats(allow_nan=False)
ROWS = st.builds(
    Row, st.integers(1, 2**63), st.just("space"), st.just("name"), TEXTS, st.integers(-(2**63), 2**63 - 1),
    st.none() | TEXTS, st.none() | TEXTS, st.binary(max_size=300), st.none() | TEXTS, st.binary(max_size=255),
    st.integers(0, 2**32 - 1), st.integers(1, 2**63), TIMES, TIMES, st.none() | TIMES,
)  # fmt: skip
ROW = Row(7, "space", "name", "pickle", 5, "builtins.int", "3.11.7", b"body", None, b"s" * 24, 3, 1, 1.0, 2.0, None)


@given(ROWS, st.sampled_from(Fields))
def test_row_comes_back_as_it_was(row, fields):
    assert unpack(pack(row), "space", "name", fields) == of_row(row, fields)


@pytest.mark.parametrize("length", [65_534, 65_535, 65_536, 100_000])
def test_text_that_is_too_long_for_its_length_is_refused(length):
    row = ROW._replace(type="é" + "x" * (length - 2))
    if length < 65_535:
        assert unpack(pack(row), "space", "name", Fields.ROW) == row
    else:
        with pytest.raises(Unsupported):
            pack(row)


@pytest.mark.parametrize("fields", Fields)
def test_bytes_that_are_no_row_are_named_as_damaged(fields):
    for damaged in (b"", b"x" * 30, pack(ROW)[:60] if fields is not Fields.LISTED else b"x"):
        with pytest.raises(Corrupt, match="name"):
            unpack(damaged, "space", "name", fields)
