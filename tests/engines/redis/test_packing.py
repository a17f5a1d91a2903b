"""A row as bytes on the server, whose format stays."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sealed_rows import row

from store.engines.contract import Fields, of_row
from store.engines.redis.packing import MAX_BYTES, pack, pack_stamp, unpack
from store.errors import Corrupt, Unsupported
from store.rows.row import Row

TIMES = st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ROWS = st.builds(
    Row,
    id=st.integers(1, 2**53), namespace=TEXTS, name=TEXTS, codec=TEXTS, protocol=st.integers(-(2**63), 2**63 - 1),
    type=st.none() | TEXTS, python=st.none() | TEXTS, body=st.binary(max_size=50), spill=st.none() | TEXTS,
    seal=st.binary(max_size=40), crc=st.integers(0, 2**32 - 1), revision=st.integers(1, 2**53), created=TIMES,
    modified=TIMES, expires=st.none() | TIMES,
)  # fmt: skip


@given(ROWS)
@pytest.mark.slow
def test_row_comes_back_with_every_field(given_row):
    packed = pack(given_row)
    for fields in Fields:
        assert unpack(packed, given_row.namespace, given_row.name, fields) == of_row(given_row, fields)


@given(ROWS)
@pytest.mark.slow
def test_header_needs_no_body(given_row):
    packed = pack(given_row)
    head = packed[: len(packed) - len(given_row.body)]
    assert unpack(head, given_row.namespace, given_row.name, Fields.HEADER) == given_row.header()


def test_format_is_that_of_the_first_release():
    packed = pack(row("a", b"body")._replace(id=7, revision=3, created=1.5, modified=2.5, expires=-0.0, seal=bytes(24)))
    assert packed[:46].hex() == (
        "0700000000000000" "0300000000000000" "000000000000f83f" "0000000000000440" "01" "0000000000000080" "04000000" "18"
    )
    assert packed.endswith(b"body")
    assert math.copysign(1, unpack(packed, "", "a", Fields.ROW).expires) == -1


@given(st.binary(max_size=120))
def test_bytes_that_are_no_row_are_corrupt(data):
    try:
        assert isinstance(unpack(data, "", "a", Fields.ROW), Row)
    except Corrupt as exc:
        assert exc.name == "a"


def test_row_that_is_cut_off_is_corrupt():
    packed = pack(row("a", b"body"))
    for length in range(len(packed)):
        with pytest.raises(Corrupt, match="'a'"):
            unpack(packed[:length], "", "a", Fields.ROW)


@pytest.mark.slow
def test_too_large_a_value_names_the_other_engines():
    pack(row("a", bytes(MAX_BYTES)))
    with pytest.raises(Unsupported, match="in a file or on PostgreSQL"):
        pack(row("a", bytes(MAX_BYTES + 1)))


def test_stamp_that_no_record_has_matches_none():
    assert pack_stamp("1-00ff") == b"S\x01\0\0\0\0\0\0\0\x00\xff"
    assert pack_stamp("no stamp") == pack_stamp("-1-zz")


@pytest.mark.parametrize("length", [65_534, 65_535, 65_536, 100_000])
def test_text_that_is_too_long_for_its_length_is_refused(length):
    given_row = row("a")._replace(id=1, type="é" + "x" * (length - 2))
    if length < 65_535:
        assert unpack(pack(given_row), "", "a", Fields.ROW) == given_row
    else:
        with pytest.raises(Unsupported):
            pack(given_row)


def test_row_that_is_cut_off_is_corrupt_as_a_value_too():
    packed = pack(row("a", b"body"))
    for length in (*range(len(packed) - 4), len(packed) - 2):
        with pytest.raises(Corrupt, match="'a'"):
            unpack(packed[:length], "", "a", Fields.SEALED)
