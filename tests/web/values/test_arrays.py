"""Arrays: what their figures and pictures say, and how little of a large one is read."""

from __future__ import annotations

import re
from typing import Any

import pytest

pytest.importorskip("numpy")

import numpy as np
from markup import markup_of

from store import Store
from store.web.look import CELL_BYTES, Budget, look
from store.web.values import arrays, brief, whole
from store.web.values.drawing import COLORS, heat_map, sparkline

ARRAYS: list[tuple[Any, str]] = [
    (np.arange(5), "int64 array (5), 40 Bleast0mean2greatest4"),
    (np.array(3, "int32"), "int32 array (), 4 Bleast3mean3greatest3"),
    (np.array([[1.5, 2], [3, np.nan]]), "float64 array (2 × 2), 32 Bleast1.5mean2.16667greatest31 not finite"),
    (np.array([np.nan, np.inf]), "float64 array (2), 16 Bleastnone is finitegreatestnone is finite2 not finite"),
    (np.array([True, False]), "bool array (2), 2 BleastFalsemean0.5greatestTrue"),
    (np.array([2**64 - 1, 0], "uint64"), "uint64 array (2), 16 Bleast0mean9.22337e+18greatest18446744073709551615"),
    (np.array([3 + 4j, 1]), "complex128 array (2), 32 Bleast1mean3greatest5magnitudes of complex numbers"),
    (np.array(["2020-01-01", "NaT"], "M8[D]"), "datetime64[D] array (2), 16 Bleast2020-01-01greatest2020-01-011 missing"),
    (np.zeros((2, 3, 4), "float16"), "float16 array (2 × 3 × 4), 48 Bleast0mean0greatest0heat map of the first of 2 planes"),
    (np.zeros((0, 3)), "float64 array (0 × 3), 0 B"),
    (np.array([1e308, 1e308]), "float64 array (2), 16 Bleast1e+308meaninfgreatest1e+308"),
    (np.array([b"ab", b"c"]), "|S2 array (2), 4 Belement0b'ab'1b'c'"),
    (np.array([1, "<b>", [2]], object), "object array (3), 24 Belement011'<b>'2[2]"),
    (np.array([(1, 2.5)], [("a", "i4"), ("b", "f8")]), "2-field array (1), 12 Ba int32b float64012.5"),
    (np.zeros(3, "V0"), "|V0 array (3), 0 Belement0b''1b''2b''"),
    (np.zeros(2, "S100000"), "|S100000 array (2), 195 KiBits elements are too large to show"),
    (np.array("x"), "<U1 array (), 4 B'x'"),
    (np.arange(3, dtype=">i4"), "int32 array (3), 12 Bleast0mean1greatest2"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "shown"), ARRAYS, ids=[shown[:30] for _, shown in ARRAYS])
def test_array_in_full_and_in_a_cell(value: Any, shown: str) -> None:
    assert markup_of(whole(value)).text.startswith(shown)
    assert shown.startswith(markup_of(brief(value)).text.partition(",")[0])
    assert "cannot be shown" not in markup_of(whole({"nested": [value]})).text + markup_of(brief([value])).text


SMALL: list[tuple[Any, str]] = [
    (np.array(3, "int32"), "int32 array (), 4 B 3"),
    (np.array([1, np.nan, np.inf]), "float64 array (3), 24 B [1.0, nan, inf]"),
    (np.array([["a", "bb"]]), "<U2 array (1 × 2), 16 B [['a', 'bb']]"),
    (np.array([(1, 2.5)], [("a", "i4"), ("b", "f8")]), "2-field array (1), 12 B [(1, 2.5)]"),
    (np.zeros(2, "S100000"), "|S100000 array (2), 195 KiB "),
]


@pytest.mark.parametrize(("value", "shown"), SMALL, ids=[shown for _, shown in SMALL])
def test_few_elements_are_shown_themselves(value: Any, shown: str) -> None:
    assert markup_of(brief(value)).text == shown
    assert "<svg" not in brief(value)
    numbers = np.arange(arrays.MOST_SPELLED + 1)
    assert "<svg" in brief(numbers) and "[0, 1" not in markup_of(whole(numbers)).text
    assert "[0, 1, 2]" in markup_of(whole(numbers[:3])).text and "<svg" not in whole(numbers[:3])


def test_scalars_are_single_values() -> None:
    for value, shown in ((np.float32(1.5), "1.5"), (np.int8(3), "3"), (np.datetime64("2020-01-01"), "2020-01-01"), (np.bool_(True), "True"), (np.str_("x"), "'x'")):
        assert markup_of(whole(value)).text == shown


def test_colors_follow_the_numbers() -> None:
    drawn = heat_map([[0.0, 0.0, 1.0], [float("nan"), 1.0, 0.5]], "label")
    paths = {found["fill"]: found["d"] for name, found in markup_of(drawn).elements if name == "path"}
    assert paths == {COLORS[0]: "M0 0h2v1h-2z", COLORS[-1]: "M2 0h1v1h-1zM1 1h1v1h-1z", COLORS[8]: "M2 1h1v1h-1z"}
    assert markup_of(drawn).first("svg")["viewbox"] == "0 0 3 2"
    assert COLORS[8] in heat_map([[5.0, 5.0]], "all the same")
    assert "<path" not in heat_map([[float("inf")]], "nothing")


def test_line_follows_the_numbers_and_has_gaps() -> None:
    drawn = markup_of(sparkline([0.0, 1.0, float("nan"), 0.5, 0.0], "label")).first("path")
    assert drawn["d"] == "M0.0 47.0L60.0 1.0M180.0 24.0L240.0 47.0"
    huge = markup_of(sparkline([-1e308, 1e308], "label")).first("path")
    assert huge["d"] == "M0.0 24.0L240.0 24.0"
    assert markup_of(sparkline([], "no numbers")).first("path")["d"] == ""
    rounded = markup_of(sparkline([1.0, 1.0 + 2**-52, 1.0], "label")).first("path")
    assert rounded["d"] == "M0.0 24.0L120.0 24.0L240.0 24.0"


def test_smooth_line_is_drawn_without_steps() -> None:
    drawn = str(markup_of(whole(np.arange(1000.0))).first("path")["d"])
    points = [[float(part) for part in point.split()] for point in re.findall(r"[\d.]+ [\d.]+", drawn)]
    assert len(points) == 120 and points[0] == [0, 47] and points[-1] == [240, 1]
    assert all(abs(y - (47 - 46 * x / 240)) < 0.2 for x, y in points)


def test_spike_of_one_element_is_seen() -> None:
    numbers = np.zeros(100_000)
    numbers[54_321] = 1
    drawn = str(markup_of(whole(numbers)).first("path")["d"])
    assert len(re.findall(r" 1\.0", drawn)) == 1


def test_falling_line_never_rises() -> None:
    drawn = str(markup_of(whole(-np.arange(100_000.0))).first("path")["d"])
    heights = [float(point.split()[1]) for point in re.split("[ML]", drawn)[1:]]
    assert len(heights) == arrays.POINTS and heights == sorted(heights)


class Counted:
    """Counts the elements that are read of arrays, by the pieces that are made of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.elements = 0
        plain = arrays._real

        def counting(elements: Any) -> Any:
            self.elements += elements.size
            return plain(elements)

        monkeypatch.setattr(arrays, "_real", counting)


@pytest.mark.parametrize(
    "shape, order", [((4_000_000,), "C"), ((1_000, 4_000), "C"), ((1_000, 4_000), "F"), ((2, 1_000, 2_000), "C"), ((1, 4_000_000), "C")]
)
def test_large_array_is_sampled(shape: Any, order: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted(monkeypatch)
    value = np.memmap(tmp_path / "hole", np.float64, "w+", shape=shape, order=order)
    value[tuple(side - 1 for side in shape)] = 7
    found = markup_of(whole(value))
    assert "from 65,536 of 4,000,000 elements" in found.text and "greatest7" in found.text
    assert counted.elements < 70_000
    assert len(whole(value)) < 40_000
    del value


def test_array_that_is_not_in_one_piece_is_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted(monkeypatch)
    value = np.broadcast_to(np.float64(1), (1 << 20, 1 << 20))  # 8 TiB
    assert "8.0 TiB" in markup_of(whole(value)).text
    assert counted.elements <= arrays.MOST_WHOLE + 3_000


def test_picture_of_any_array_is_small() -> None:
    rng = np.random.default_rng(1)
    for shape in ((1_000, 1_000), (2, 100_000), (100_000, 2), (300_000,)):
        value = rng.random(shape)
        assert len(whole(value)) < 40_000 and len(brief(value)) < 4_000


def test_class_of_the_program_runs_no_code() -> None:
    class Loud(np.ndarray):  # type: ignore[misc]
        def fails(self, *_: Any, **__: Any) -> Any:
            raise RuntimeError

        __repr__ = __str__ = __len__ = __getitem__ = __array_ufunc__ = __array_function__ = tolist = reshape = fails
        shape = size = dtype = nbytes = property(fails)

    value = np.arange(4.0).view(Loud)
    assert ".Loud: float64 array (4), 32 Bleast0mean1.5greatest3" in markup_of(whole(value)).text
    assert "cannot" not in markup_of(brief(value)).text


def test_mapped_array_of_a_store_is_not_read_whole(path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store(path) as s:
        s["a"] = np.arange(3_000_000.0)
        seen = look(s, s.record("a"), Budget(CELL_BYTES))
        assert seen.badge == "own" and s.record("a").size > CELL_BYTES
        found = markup_of(whole(seen.value)).text
        assert "from 65,536 of 3,000,000 elements" in found and "greatest3e+06" in found
        del seen
    with Store(path, mmap=False) as s:
        assert look(s, s.record("a"), Budget(CELL_BYTES)).badge == "skipped"


class Loud:
    """An object whose text is code."""

    ran: list[str] = []

    def __repr__(self) -> str:
        self.ran.append("repr")
        return "loud"

    __str__ = __repr__


def laughing(levels: int) -> Any:
    """A dtype of 2 ** levels fields of no bytes."""
    found = np.dtype("V0")
    for _ in range(levels):
        found = np.dtype([("a", found), ("b", found)])
    return found


@pytest.mark.slow
def test_fields_that_share_their_dtypes_are_not_listed() -> None:
    within = np.dtype([("x", laughing(20), (2,)), ("y", "i4")])
    for value in (np.zeros(3, laughing(20)), np.zeros((), laughing(20)), np.zeros(20, within), np.zeros(1, laughing(20))[0]):
        for shown in (value, [value], [{"a": value}, {"a": value}]):
            assert len(whole(shown)) < 100_000 and len(brief(shown)) < 2_000
            assert "cannot be shown" not in whole(shown) + brief(shown)
    assert "(0, 0)" in markup_of(whole(np.zeros(2, [("a", [("b", "i4"), ("c", "i4")])]))).text
    assert "a int32 (2 × 3)" in markup_of(whole(np.zeros(20, [("a", "i4", (2, 3))]))).text


def test_record_shows_its_fields_and_asks_no_object() -> None:
    value = np.zeros(1, [("a", "O"), ("b", "f8")])
    value["a"][0] = Loud()
    text = np.array(["a"] * 20, dtype=np.dtypes.StringDType(na_object=Loud()))
    Loud.ran.clear()
    for one in (value[0], value.view(np.recarray)[0], value, text):
        assert "cannot be shown" not in whole(one) + brief(one)
    assert Loud.ran == []
    assert "loud" in str(value[0]) and Loud.ran == ["repr"]
    assert markup_of(brief(np.zeros(1, [("a", "i4"), ("b", "f8")])[0])).text == "void(a=0, b=0.0)"
