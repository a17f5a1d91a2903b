"""What the codec numpy can hold, what it cannot, and bytes that are none of its own."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

plain = (
    arrays.boolean_dtypes() | arrays.integer_dtypes(endianness="?") | arrays.unsigned_integer_dtypes(endianness="?")
    | arrays.floating_dtypes(endianness="?", sizes=(16, 32, 64)) | arrays.complex_number_dtypes(endianness="?")
    | st.sampled_from("<f8 >c16 M8[s] >M8[25s] <m8[7D] m8[as] >m8[ns] M8[W] m8 q Q l L g G >g i I >i8".split())
    | st.sampled_from("S0 S1 S7 U0 U1 >U3 <U9 V0 V1 V13".split())
).map(np.dtype)  # fmt: skip
names = st.lists(st.text(min_size=1, max_size=8), min_size=0, max_size=8, unique=True)
sides = st.lists(st.integers(0, 3), min_size=1, max_size=3).map(tuple)


@st.composite
def structured(draw: Any, inner: Any) -> np.dtype[Any]:
    """Fields in any order, next to each other or with space between them, some with titles; some of them aligned."""
    chosen = draw(names)
    titles = [chosen.pop() if draw(st.booleans()) and len(chosen) > index + 1 else None for index in range(len(chosen))]
    formats = [draw(inner) for _ in chosen]
    if chosen and draw(st.booleans()):
        made = np.dtype([((t, n) if t else n, f) for n, f, t in zip(chosen, formats, titles, strict=False)], align=True)
    else:
        offsets, end = [], 0
        for dtype in formats:
            offsets.append(end + draw(st.integers(0, 3)))
            end = offsets[-1] + dtype.itemsize
        layout: Any = {"names": chosen, "formats": formats, "offsets": offsets, "itemsize": end + draw(st.integers(0, 5))}
        made = np.dtype({**layout, "titles": titles[: len(chosen)]} if any(titles) else layout)
        if draw(st.booleans()):
            made = made[list(reversed(made.names))]
    return np.dtype((np.record, made)) if draw(st.booleans()) else made


dtypes = plain | st.recursive(
    plain,
    lambda inner: structured(inner) | st.builds(lambda base, shape: np.dtype((base, shape)), structured(inner), sides),
    max_leaves=6,
)


def cleaned(array: Any) -> Any:
    """Bools that are 0 or 1, and characters that there are, in place: anything else in it may be what it likes."""
    dtype = array.dtype
    for name in dtype.names or ():
        cleaned(array[name])
    if dtype.kind == "b":
        array.view("u1")[...] &= np.uint8(1)
    if dtype.kind == "U" and array.nbytes:
        flat = np.zeros(array.shape, dtype)
        flat.reshape(-1).view(np.dtype("u4").newbyteorder(dtype.byteorder))[...] = 0x1F600
        array[...] = flat
    return array


@st.composite
def filled(draw: Any) -> Any:
    """An array of any dtype, its bytes by chance, in any order, or a part of a larger one, or an element of it."""
    dtype = draw(dtypes)
    if dtype.subdtype:
        dtype = dtype.base
    shape = draw(st.lists(st.integers(0, 4), max_size=4))
    made: Any = np.ndarray(shape, dtype, order=draw(st.sampled_from("CF")))
    if made.nbytes:
        lump = made.T if made.flags.f_contiguous and not made.flags.c_contiguous else made
        seed = draw(st.integers(0, 2**32))
        lump.reshape(-1).view("u1")[:] = np.random.default_rng(seed).integers(0, 256, made.nbytes, "u1")
    made = cleaned(made)
    how = draw(st.sampled_from(["whole", "whole", "steps", "turned", "element", "fixed"]))
    if how == "steps":
        return made[..., ::2] if made.ndim else made
    if how == "turned":
        return np.moveaxis(made, 0, -1) if made.ndim else made
    if how == "element" and made.size:
        return made[(0,) * made.ndim]
    if how == "fixed":
        made.flags.writeable = False
    return made


@st.composite
def hypothesised(draw: Any) -> Any:
    """What Hypothesis thinks of, with its own values: NaN, -0.0, NaT, the smallest and the largest."""
    return draw(arrays.arrays(draw(arrays.scalar_dtypes() | arrays.nested_dtypes()), arrays.array_shapes(min_dims=0, min_side=0, max_side=4)))


texts = st.text(st.characters(exclude_categories=())).map(np.str_)
scalars = arrays.scalar_dtypes().flatmap(lambda dtype: arrays.arrays(dtype, 1)).map(lambda array: array[0])
values = filled() | hypothesised() | scalars | texts | st.binary().map(np.bytes_) | st.binary().map(np.void)


def raw(value: Any) -> bytes:
    if isinstance(value, np.str_):
        return value.encode("utf-32-le", "surrogatepass")
    return bytes(value) if isinstance(value, np.bytes_) else value.tobytes("A" if type(value) is np.ndarray else "C")


def layout(dtype: Any) -> Any:
    """All that makes up a dtype, in terms of NumPy's."""
    if dtype.subdtype:
        return dtype.shape, layout(dtype.base)
    fields = [(name, layout(dtype.fields[name][0]), *dtype.fields[name][1:]) for name in dtype.names or ()]
    return dtype.type, dtype.num, dtype.str, dtype.itemsize, dtype.names, fields, dtype.isalignedstruct, dtype.alignment


def same(one: Any, other: Any) -> bool:
    if type(one) is not type(other) or layout(one.dtype) != layout(other.dtype) or one.shape != other.shape:
        return False
    if type(other) is np.ndarray:
        order = "F" if other.flags.f_contiguous and not other.flags.c_contiguous else "C"
        if not (one.flags.f_contiguous if order == "F" else one.flags.c_contiguous):
            return False
        if other.dtype.itemsize and not other.flags.forc:
            other = np.ascontiguousarray(other.view(f"V{other.dtype.itemsize}")).reshape(other.shape)
    return raw(one) == raw(other)


class Array(np.ndarray):
    """An array, and not quite."""


class Number(np.float64):
    """A scalar, and not quite."""


def beyond(depth: int) -> Any:
    """A dtype in so many dtypes."""
    dtype: Any = np.dtype("u1")
    for _ in range(depth):
        dtype = np.dtype([("f", dtype)])
    return np.zeros(1, dtype)


def inside(value: Any) -> tuple[()]:
    return ()  # it holds no containers


never = [
    None, 1, 1.5, True, "x", b"x", [1], [np.zeros(1)], {"a": np.zeros(1)}, (), len, np.float64, np.dtype("f8"),
    np.zeros(3).view(Array), np.ma.masked_array([1, 2]), np.ma.masked, np.zeros(3, [("a", "i4")]).view(np.recarray),
    np.zeros((1, 1)).view(np.matrix), Number(1), np.array([None]), np.array([1, "x"], object), np.empty(0, object),
    np.zeros(2, [("a", "i4"), ("b", object)]), np.zeros(2, [("a", [("b", object, (2,))])]),
    np.zeros(2, np.dtype("f8", metadata={"unit": "m"})), np.zeros(2, [("a", np.dtype("f8", metadata={"unit": "m"}))]),
    np.zeros(2, np.dtype([("a", "f8")], metadata={"unit": "m"})), np.zeros(1, [(("title", "a"), "i4")]).astype(
        {"names": ["a"], "formats": ["i4"], "titles": [("t",)]}),
    np.zeros(1, np.dtype((np.int32, [("low", "i2"), ("high", "i2")]))), beyond(20),
    np.ndarray(2**30, "S0"), np.ndarray((2**40, 0)), np.ndarray(1, [("a", "u1", (0, 2**20))]), np.zeros(1, "M8[0s]"), np.zeros(1, np.dtype([], align=True)),
    np.zeros(1, [(f"f{n}", "u1") for n in range(10_001)]), np.zeros(1, {"names": ["\ud83d\ude00"], "formats": ["u1"]}),
]  # fmt: skip
if hasattr(np.dtypes, "StringDType"):
    never += [np.array(["x"], np.dtypes.StringDType()), np.zeros(1, [("a", "i4")])[["a"]].view(np.ma.MaskedArray)]
remedy = "the codec 'pickle'"
never_paths = [
    (np.array([None]), "elements of the dtype object"),
    (np.zeros(1, [("a", object)]), "elements of the dtype object"),
    (np.zeros(3).view(Array), "it is a Array, not a numpy.ndarray itself"),
    (np.zeros(2, np.dtype("f8", metadata={"unit": "m"})), "float64 has metadata"),
]
sample = np.arange(12.0).reshape(3, 4) + 0.5
shown = ("float64 array, shape (3, 4), order C", "0.5", "11.5")
changed = np.asfortranarray(np.array([[1, 2], [3, 4]], ">i2"))
whole = [
    np.zeros(2, {"names": [""], "formats": ["i4"]}), np.zeros((4, 6))[::2, ::3], np.zeros((2, 3, 4)).transpose(1, 0, 2),
    np.zeros(3, "i1, f8, U3")[["f2", "f0"]],
    np.array(1.5), np.float64(0), np.longlong(1), np.intc(1), np.str_(""), np.str_("a\0\0"), np.bytes_(b"\0"), np.bool_(True),
    np.datetime64("NaT", "s"), np.timedelta64(3, "25s"), np.void(b""), np.zeros(0), np.zeros((0, 3), order="F"),
    np.longdouble(1) / 3, np.zeros((), [("a", "i4")])[()], np.half(1.5), np.ndarray((2, 3), "S0"), np.ndarray((2, 3), "V0"),
    np.str_("\ud83d\ude00"), np.zeros((1,) * 32), np.zeros((1,) * 32, [("a", "u1")]), beyond(16),
]  # fmt: skip
large = [
    np.zeros(3_000_000), np.zeros((2,) * 20), np.full(3, "x" * 100_000), np.zeros(3, [(f"f{n}", "u1") for n in range(10_000)]),
    np.zeros(2, [("a", "f8", (2,) * 16)]), np.bytes_(b"x" * 3_000_000), np.zeros(3, [("x" * 100_000, "u1")]),
]  # fmt: skip
truncation_is_always_found = True


def body(data: bytes = b"", **changes: Any) -> bytes:
    header = {"kind": "array", "dtype": "<f8", "shape": [1], "order": "C", "beside": False, **changes}
    front = json.dumps({key: value for key, value in header.items() if value is not ...}, separators=(",", ":")).encode()
    front = len(front).to_bytes(4, "little") + front
    return front + b"\0" * (-len(front) % 64) + data


def struct(*fields: Any, size: Any = 8, aligned: Any = False, record: Any = False) -> dict[str, Any]:
    return {"fields": list(fields), "size": size, "aligned": aligned, "record": record}


def deep(depth: int) -> Any:
    dtype: Any = "<f8"
    for _ in range(depth):
        dtype = struct(["a", None, 0, dtype])
    return dtype


numbers = st.integers(-2, 9) | st.sampled_from([2**31, 2**62, 2**63, 2**64, 10**30, 1.0, True, None, "1"])
some_text = st.sampled_from("a b f8 <f8 |b1 <U2 >U1 |S0 |V0 <M8[3s] <M8[0s] <i8:longlong <f16:63 |O O <O8 |O8 T object".split())
descriptions = st.recursive(
    some_text | plain.map(lambda dtype: dtype.str),
    lambda inner: (
        st.fixed_dictionaries({"base": inner, "shape": st.lists(numbers, max_size=3)})
        | st.fixed_dictionaries({
            "fields": st.lists(st.tuples(some_text, st.none() | some_text, numbers, inner).map(list), max_size=4),
            "size": numbers, "aligned": st.booleans(), "record": st.booleans(),
        })
    ),
    max_leaves=6,
)  # fmt: skip
programs = st.builds(
    body, st.binary(max_size=64), dtype=descriptions, shape=st.lists(numbers, max_size=4), kind=st.sampled_from(["array", "scalar"]),
    order=st.sampled_from("CF"), beside=st.booleans(),
)  # fmt: skip

eight = b"\0" * 8
good = body(eight)
hostile = [
    b"", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x93NUMPY\x01\0v\0{'descr': '<f8', 'fortran_order': False, 'shape': (1,)}",
    good[:-1], good + b"\0", good.replace(b'"<f8"', b'"<f8 '), good.replace(b"\0" * 9, b"\0" * 8 + b"\1"), good.replace(b"[1]", b"[2]"),
    good.replace(b"[1]", b"[1.0]"), good.replace(b"[1]", b"[-1]"), b"\xff" + good[1:], b"\x01" + good[1:],
    *(body(eight, **change) for change in [
        {"kind": "object"}, {"kind": ...}, {"kind": None}, {"more": 1}, {"order": "A"}, {"order": []}, {"order": "F"},
        {"beside": 1}, {"beside": True}, {"shape": None}, {"shape": "1"}, {"shape": {}}, {"shape": [1.0]}, {"shape": [True]},
        {"shape": [-1]}, {"shape": [-1, -1]}, {"shape": [2]}, {"shape": [2**62, 2]}, {"shape": [2**64]}, {"shape": [2**64 + 1]},
        {"shape": [10**400]}, {"shape": [1] * 65}, {"shape": [1] * 1000}, {"shape": [0]}, {"shape": [[1]]}, {"kind": "scalar"},
        {"shape": [2**61 + 1]}, {"shape": [2**32, 2**29]},
    ]),
    *(body(eight, dtype=dtype) for dtype in [
        None, 8, [], {}, "", "f8", "=f8", "|f8", "<f08", "<f8 ", "<f8\n", "<f9", "<i3", "<b1", "<u4,<u4", "(2,)<f4", "<f4,", "O", "|O",
        "|O8", "<O8", "T", "|T16", "float64", "d", "object", "<a8", "|S9", "<S8", "|U2", "<U3", "|V9", "<V8", "|S-8", "|S8]", "|b8",
        "<S99999999999", "<U2147483647", "<M8[0s]", "<M8[08s]", "<M8[1s]", "<M8[s/3]", "<M8[x]", "<M8[]", "<M8[us", "<M4[s]", "|M8[s]",
        "<M8[2147483648s]", "<M8[s]//2", "<f8:53", "<f8:", "<f8:x", "<f8:longlong", "<i8:ulonglong", "<i8:object", "<f16", "<f16:1",
        "<f32:230", "<c64", "<\u0667", "<f\u0668", "|S\u0668", {"base": "<f4", "shape": [2]}, {"base": "<f8"}, struct(), struct(size=7), struct(["a", None, 0, struct(aligned=True)], aligned=True),
        struct(["a", None, 0, "<f4"], ["a", None, 4, "<f4"]), struct(["a", "b", 0, "<f4"], ["b", None, 4, "<f4"]),
        struct(["a", "a", 0, "<f8"]), struct(["a", None, 1, "<f8"]), struct(["a", None, -1, "<f8"]), struct(["a", None, 2**64, "<f8"]),
        struct(["a", None, 0, "|O8"]), struct(["a", None, 0, "<f8"], size=2**31), struct(["a", None, 0, "<f8"], size=-8),
        struct([1, None, 0, "<f8"]), struct([None, None, 0, "<f8"]), struct(["a", 1, 0, "<f8"]), struct(["a", None, 0.0, "<f8"]),
        struct(["a", None, 0]), struct("abcd"), struct(["a", None, 1, "<i4"], aligned=True), struct(["a", None, 0, "<i4"], size=6, aligned=True),
        struct(["a", None, 0, "<f8"], record=1), struct(["a", None, 0, "<f8"], aligned=None), {**struct(), "more": 1}, struct(aligned=True), deep(17), deep(300),
        struct(["a", None, 0, {"base": "<f4", "shape": [-2]}]), struct(["a", None, 0, {"base": "<f4", "shape": []}]),
        struct(["a", None, 0, {"base": "<f8", "shape": [1] * 65}]), struct(["a", None, 0, {"base": "<f8", "shape": [2**64 + 1]}]),
        struct(["a", None, 0, {"base": "|S0", "shape": [2**40]}]), struct(["a", None, 0, {"base": "|S0", "shape": 3}]),
        struct(["a", None, 0, {"base": {"base": "<f8", "shape": [1] * 33}, "shape": [1] * 33}]),
    ] if dtype != struct() ),
    body(dtype="|S0", shape=[2**40]), body(dtype="|V0", shape=[2**63 - 1]), body(shape=[0, 2**62]), body(shape=[2**40, 0, 2**40]),
    body(dtype="|S2147483647", shape=[0]), body(dtype=struct(size=0), shape=[2**40]), body(dtype="<f8", kind="scalar", shape=[]),
    body(dtype={"base": "<f8", "shape": [2**40]}, shape=[0]), body(dtype="<f8", shape=[0], order="F"),
    body(b"\xff" * 4, dtype="<U1", shape=[], kind="scalar"), b"\xff\xff\x0f\0" + b"[" * 0xFFFFF + good,
    (2**21).to_bytes(4, "little") + b" " * 2**21 + good[4:],
]  # fmt: skip
refused = [
    body(b"\x02", dtype="|b1"), body(b"\0\1\xff", dtype="|b1", shape=[3]), body(b"\x02", dtype="|b1", shape=[], kind="scalar"),
    body(b"\0\0\x11\0", dtype="<U1"), body(b"\0\x11\0\0", dtype=">U1"), body(b"\xff" * 8, dtype="<U2"),
    body(b"\0" * 7 + b"\2", dtype=struct(["a", None, 0, "|b1"], ["b", None, 7, "|b1"])),
    body(b"\0" * 8 + b"\0\0\0\0\2\0\0\0", dtype=struct(["a", None, 4, {"base": "|b1", "shape": [2, 2]}]), shape=[2]),
    body(b"\0\0\0\0\0\0\x11\0", dtype=struct(["a", None, 1, struct(["b", None, 3, "<U1"], size=7)])),
    body(eight, dtype=struct(["a", None, 0, "<f8"], ["b", None, 7, "|b1"])),
    body(eight, dtype=struct(["a", None, 0, {"base": struct(["a", None, 0, "<f4"], ["b", None, 3, "|u1"], size=4), "shape": [2]}])),
]  # fmt: skip
junk = [b"", b"\xff\xfe", b"[1, 2", b"\x80\x05]", b"\0" * 1000, good[:-1], good + b"\0", hostile[-2], body(eight, dtype=deep(300))]
