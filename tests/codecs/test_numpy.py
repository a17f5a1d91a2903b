"""The bytes of the codec numpy, data that goes beside them, and what the bytes of strangers may cost."""

from __future__ import annotations

import json
import math
import tracemalloc
from collections.abc import Iterator
from pickle import PickleBuffer
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store import Store
from store.errors import Corrupt, NotSerializable

np: Any = pytest.importorskip("numpy", reason="numpy is not installed: its codec is not tested")

from store.codecs.numpy import dtype as numpy_dtype  # noqa: E402 - it needs the library
from store.codecs.numpy.codec import LARGE, MAX_EMPTY, codec  # noqa: E402


def encoded(value: Any) -> bytes:
    return codec.encode(value, 1)


def restricted(body: Any, buffers: Any = ()) -> Any:
    return codec.decode_restricted(body, buffers, allow={})


def body(data: bytes = b"", **changes: Any) -> bytes:
    header = {"kind": "array", "dtype": "<f8", "shape": [1], "order": "C", "beside": False, **changes}
    front = json.dumps(header, separators=(",", ":")).encode()
    front = len(front).to_bytes(4, "little") + front
    return front + b"\0" * (-len(front) % 64) + data


def struct(fields: list[Any], size: int, aligned: bool = False, record: bool = False) -> dict[str, Any]:
    return {"fields": fields, "size": size, "aligned": aligned, "record": record}


BOTH = pytest.mark.parametrize("decode", [codec.decode, restricted], ids=["full", "restricted"])


# -- as it is on disk


def test_bytes_of_an_array() -> None:
    made = encoded(np.array([[1, 2, 3]], ">i2"))
    text = b'{"kind":"array","dtype":">i2","shape":[1,3],"order":"C","beside":false}'
    assert made == b"\x47\0\0\0" + text + b"\0" * 53 + b"\0\1\0\2\0\3"
    assert len(made[:-6]) % 64 == 0


@pytest.mark.parametrize(
    "dtype, description",
    [
        ("?", "|b1"), ("<f2", "<f2"), ("<M8[25s]", "<M8[25s]"), ("<m8", "<m8"), ("<M8", "<M8"), ("|V3", "|V3"), ("<U0", "<U0"),
        ("q", "<i8:longlong"), (">c8", ">c8"),
        ([("a", "<i4", (2, 3))], struct([["a", None, 0, {"base": "<i4", "shape": [2, 3]}]], 24)),
        ([(("title", "a"), "|i1"), ("b", [("c", "|S2")])],
         struct([["a", "title", 0, "|i1"], ["b", None, 1, struct([["c", None, 0, "|S2"]], 2)]], 3)),
    ],
)  # fmt: skip
def test_description_of_a_dtype(dtype: Any, description: Any) -> None:
    if np.dtype("q").num == np.dtype("<i8").num and dtype == "q":
        pytest.skip("the two C types are one here")
    assert numpy_dtype.describe(np.dtype(dtype)) == description
    assert numpy_dtype.build(description) == np.dtype(dtype)


def test_description_of_an_aligned_dtype_and_a_record() -> None:
    dtype = np.dtype((np.record, np.dtype([("a", "|u1"), ("b", "<i4")], align=True)))
    description = numpy_dtype.describe(dtype)
    assert description["aligned"] is description["record"] is True
    assert [field[2] for field in description["fields"]] == [0, 4]
    assert numpy_dtype.build(description).type is np.record
    assert numpy_dtype.build(description).isalignedstruct


@BOTH
def test_c_type_of_another_platform_is_the_number_that_it_was_there(decode: Any) -> None:
    made = decode(body(b"\1" + b"\0" * 7, dtype="<i8:intc"))
    assert made.dtype.num == np.dtype("<i8").num
    assert made.tolist() == [1]


@BOTH
def test_long_floats_of_another_platform(decode: Any) -> None:
    other = 112 if np.finfo(np.longdouble).nmant == 63 else 63
    with pytest.raises(Corrupt, match=r"this platform.*'<f16:"):
        decode(body(b"\0" * 16, dtype=f"<f16:{other}"))
    with pytest.raises(Corrupt, match="this platform has no numbers like '<f32:236'"):
        decode(body(b"\0" * 32, dtype="<f32:236"))


def test_bytes_between_fields_are_not_left_to_chance() -> None:
    array = np.ndarray((4, 4), {"names": ["a"], "formats": ["u1"], "offsets": [3], "itemsize": 8})
    array.view("u1")[...] = 7
    assert encoded(array[::2, ::2])[-32:] == b"\7" * 32


# -- what comes back


@BOTH
def test_array_that_comes_back_is_ones_own(decode: Any) -> None:
    made = decode(encoded(np.arange(6.0).reshape(2, 3)))
    assert made.flags.owndata
    assert made.flags.aligned
    made[0, 0] = 7
    assert decode(encoded(np.asfortranarray(np.ones((2, 3))))).flags.owndata


@pytest.fixture
def one_copy() -> Iterator[None]:
    """The test's work takes the memory of one array of 4 MB."""
    tracemalloc.start()
    try:
        yield
        assert 4_000_000 <= tracemalloc.get_traced_memory()[1] < 4_500_000
    finally:
        tracemalloc.stop()


MADE = encoded(np.zeros(500_000))
ARRAY = np.zeros((500, 1000), order="F")


@BOTH
def test_decoding_makes_one_copy(decode: Any, one_copy: None) -> None:
    decode(MADE)


def test_encoding_makes_one_copy(one_copy: None) -> None:
    encoded(ARRAY)


@pytest.mark.parametrize("array", [np.float64(1), np.array(1.0), np.zeros((0, 3))], ids=["scalar", "0-d", "empty"])
def test_array_without_dimensions_or_elements_stays_what_it_is(array: Any) -> None:
    made = codec.decode(encoded(array))
    assert (type(made), made.shape) == (type(array), array.shape)


# -- data beside the body


@BOTH
@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("dtype", ["<f8", ">M8[s]", [("a", "<f4"), ("b", "<f4")]], ids=str)
def test_data_of_a_large_array_goes_beside_the_body(decode: Any, order: str, dtype: Any) -> None:
    array = np.arange(LARGE // 8).astype("<i8").view(dtype).reshape(8, -1)
    array = np.asarray(array, order=order)
    buffers: list[Any] = []
    made = codec.encode(array, 1, buffers.append)
    assert len(made) <= 256
    assert [type(buffer) for buffer in buffers] == [PickleBuffer]
    data = np.frombuffer(buffers[0].raw(), "u1")
    assert np.shares_memory(data, array)
    back = decode(made, buffers)
    assert back.dtype == array.dtype
    assert back.tobytes() == array.tobytes()
    assert back.flags.f_contiguous is (order == "F")
    assert np.shares_memory(back, array)
    assert back.flags.writeable
    fixed = decode(made, [bytes(data)])
    assert not fixed.flags.writeable
    assert fixed.tobytes() == array.tobytes()


def test_part_of_an_array_goes_beside_the_body_as_a_copy() -> None:
    array = np.arange(LARGE // 4.0)[::2]
    buffers: list[Any] = []
    made = codec.encode(array, 1, buffers.append)
    assert (codec.decode(made, buffers) == array).all()
    assert not np.shares_memory(codec.decode(made, buffers), array)


def test_small_data_stays_in_the_body() -> None:
    buffers: list[Any] = []
    array = np.zeros(LARGE - 1, "u1")
    assert codec.encode(array, 1, buffers.append) == encoded(array)
    assert not buffers
    text = np.bytes_(b"x" * 10)
    assert codec.encode(text, 1, buffers.append) == encoded(text)


def test_data_that_the_callback_declines_stays_in_the_body() -> None:
    array = np.zeros(LARGE, "u1")
    assert codec.encode(array, 1, lambda buffer: True) == encoded(array)


def test_error_of_the_callback_is_its_own() -> None:
    def fails(buffer: Any) -> None:
        raise ValueError("the disk is full")

    with pytest.raises(ValueError, match="the disk is full") as caught:
        codec.encode(np.zeros(LARGE), 1, fails)
    assert caught.type is ValueError


@BOTH
@pytest.mark.parametrize(
    "buffers",
    [[], [b""], [b"\0" * 7], [b"\0" * 9], [memoryview(b"\0" * 16)[::2]], [None], [8], [[0] * 8]],
    ids=["none", "empty", "short", "long", "steps", "None", "int", "list"],
)
def test_buffer_that_is_none_of_the_array(decode: Any, buffers: list[Any]) -> None:
    made = body(beside=True)
    assert decode(made, [b"\0" * 8]).tolist() == [0.0]
    with pytest.raises(Corrupt):
        decode(made, buffers)


def test_content_of_a_buffer_is_checked_too() -> None:
    made = body(dtype="|b1", beside=True)
    assert codec.decode(made, [b"\2"]).dtype == bool
    with pytest.raises(Corrupt, match="neither 0 nor 1"):
        restricted(made, [b"\2"])


def test_describe_of_a_body_whose_data_is_beside_it() -> None:
    assert codec.describe(body(shape=[3], beside=True)) == (
        (), "float64 array, shape (3,), order C, its data in a buffer beside the body", None
    )  # fmt: skip


# -- what strangers may send


@pytest.mark.parametrize(
    "dtype",
    [
        {"names": ["a", "b"], "formats": ["<i4", "<i2"], "offsets": [0, 2], "itemsize": 4},
        {"names": ["b", "a"], "formats": ["<i2", "<i4"], "offsets": [2, 0], "itemsize": 4},
    ],
    ids=["after", "before"],
)
def test_fields_that_overlap_are_for_the_own_records_alone(dtype: Any) -> None:
    array = np.zeros(3, np.dtype(dtype))
    assert codec.decode(encoded(array)).dtype == array.dtype
    with pytest.raises(Corrupt, match="overlap"):
        restricted(encoded(array))


def test_fields_next_to_each_other_in_any_order_do_not_overlap() -> None:
    dtype = np.dtype({"names": list("abc"), "formats": ["<i4", "|S0", "<i2"], "offsets": [2, 1, 0], "itemsize": 6})
    assert restricted(encoded(np.zeros(2, dtype))).dtype == dtype


@BOTH
def test_fields_are_counted_at_all_depths(decode: Any) -> None:
    fields = [[f"{n:x}", None, 0, "|V0"] for n in range(40_000)]
    large = body(b"\0", dtype=struct(fields, 1))
    with pytest.raises(Corrupt, match="more than 10000 fields"):
        decode(large)
    half = struct(fields[:5001], 1)
    with pytest.raises(Corrupt, match="more than 10000 fields"):
        decode(body(b"\0", dtype=struct([["a", None, 0, half], ["b", None, 0, half]], 1)))


def test_extent_of_what_is_empty_is_bounded() -> None:
    assert codec.decode(encoded(np.zeros((0, MAX_EMPTY // 8)))).shape == (0, MAX_EMPTY // 8)
    with pytest.raises(NotSerializable, match="it has no bytes"):
        encoded(np.zeros((0, MAX_EMPTY // 8 + 1)))
    with pytest.raises(Corrupt, match="it has no bytes"):
        restricted(body(shape=[0, MAX_EMPTY // 8 + 1]))


def nothing(levels: int, shape: int) -> dict[str, Any]:
    """A dtype without bytes whose elements have subarrays of `shape` elements, `levels` of them in one another."""
    made = struct([], 0)
    for _ in range(levels):
        made = struct([["a", None, 0, {"base": made, "shape": [shape]}]], 0)
    return made


@BOTH
@pytest.mark.parametrize("kind, data, shape", [("array", b"", [1]), ("scalar", b"", [])])
def test_subarrays_without_bytes_are_counted_at_all_depths(decode: Any, kind: str, data: bytes, shape: list[int]) -> None:
    """A header of 512 bytes could name 10 ** 12 elements, over which the text of a value goes."""
    assert decode(body(data, kind=kind, shape=shape, dtype=nothing(2, 20))).dtype.itemsize == 0
    for levels, number in ((2, 1000), (6, 10)):
        wide = body(data, kind=kind, shape=shape, dtype=nothing(levels, number))
        with pytest.raises(Corrupt, match="take no bytes"):
            decode(wide)
        assert "take no bytes" in str(codec.describe(wide)[2])


def test_description_of_elements_with_many_values_is_bounded() -> None:
    """Fields that overlap have more values than bytes; only `describe` and own records read such elements."""
    fields = [[f"{n:x}", None, 0, {"base": "|u1", "shape": [100]}] for n in range(1000)]
    summary = codec.describe(body(b"\0" * 10_000, shape=[100], dtype=struct(fields, 100)))[1]
    assert "elements of 100,000 values each" in summary
    few = codec.describe(body(b"\0" * 10_000, shape=[100], dtype=struct(fields[:10], 100)))[1]
    assert "the first 16 elements" in few


@BOTH
def test_unit_of_no_length_is_refused(decode: Any) -> None:
    """NumPy takes it for one, and raises SystemError where it divides by it."""
    with pytest.raises(Corrupt, match="not a dtype"):
        decode(body(b"\0" * 8, dtype="<M8[0s]"))


sizes = st.integers(0, 3)
texts = st.sampled_from("|b1 |u1 <i2 >f4 <U1 >U2 |S0 |S3 |V0 |V2 <M8[2h] <f8 <i8:longlong |O".split())
kinds = st.recursive(
    texts,
    lambda inner: (
        st.builds(lambda base, shape: {"base": base, "shape": shape}, inner, st.lists(sizes, min_size=1, max_size=2))
        | st.builds(
            struct,
            st.lists(st.tuples(st.sampled_from("abcd"), st.none(), st.integers(0, 8), inner).map(list), max_size=3),
            st.integers(0, 24), st.booleans(), st.booleans(),
        )
    ),
    max_leaves=4,
)  # fmt: skip
fill = st.integers(0, 2**20) | st.sampled_from([0, 1, 2**64 - 1, 2**65 - 1])


def size_of(kind: Any) -> int:
    """The bytes that such an element would take if it were one."""
    if isinstance(kind, str):
        return int("0" + "".join(filter(str.isdigit, kind[2:3]))) * (4 if kind[1] == "U" else 1)
    return kind["size"] if "size" in kind else size_of(kind["base"]) * math.prod(kind["shape"])


@given(kinds, st.lists(sizes, max_size=3), st.sampled_from("CF"), fill, st.booleans())
@settings(max_examples=80, deadline=None)
@pytest.mark.slow
def test_array_that_is_read_is_written_the_same(kind: Any, shape: list[int], order: str, number: int, exact: bool) -> None:
    size = size_of(kind) * math.prod(shape) + (not exact)
    made = body((number.to_bytes(9, "little") * (size // 9 + 1))[:size], dtype=kind, shape=shape, order=order)
    try:
        value = codec.decode(made)
    except Corrupt:
        with pytest.raises(Corrupt):
            restricted(made)
        return
    assert encoded(value) == made
    try:
        restricted(made).tolist()
    except Corrupt as exc:
        assert any(word in str(exc) for word in ("overlap", "neither", "Unicode"))


# -- in a store


def test_array_in_a_store(place: str) -> None:
    array = np.arange(12, dtype=">i4").reshape(3, 4)
    with Store[Any](place) as s:
        s.put("a", array, codec="numpy")
        s["a"][0, 0] = 7
        assert (s["a"] == array).all()
        with s.edit("a") as changing:
            changing[0, 0] = 7
        assert s["a"][0, 0] == 7
        assert s["a"].dtype == array.dtype
