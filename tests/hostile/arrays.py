"""Streams of NumPy's arrays that lie of their dtypes, shapes and contents, and sound ones of both versions of NumPy.

Where NumPy is not installed there are none: no record of arrays can do anything there.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from assembler import (  # isort: skip
    CORRUPT, LOADS, NONE, REFUSED, UNTRUSTED, Stream, build, call, data, dct, found, get, keep, lst, number, stream,
    text, tup,
)

HAS_NUMPY = find_spec("numpy") is not None
FAMILIES = ["arrays: dtypes", "arrays: shapes", "arrays: contents", "arrays: costs"] if HAS_NUMPY else []
CORES = ("numpy.core", "numpy._core")
ORDERS = {"<": text("<"), "|": text("|")}


def streams() -> Iterator[Stream]:
    if HAS_NUMPY:
        for family, name, body, expect in (*_dtypes(), *_shapes(), *_contents(), *_costs()):
            # Looking at it is what crashes: the check is made of what loads, in this decoder and in the stdlib's.
            yield Stream(family, name, body, expect, check=lambda value: bool(repr(value)), heavy="costs" in family)


def controls() -> Iterator[Stream]:
    if HAS_NUMPY:
        for core in CORES[1 if _is_new() else 0 :]:
            for family, name, body, shown in _sound(core):
                yield Stream(family, f"{name} ({core})", body, LOADS, check=lambda value, shown=shown: shown in repr(value))


def _is_new() -> bool:
    return find_spec("numpy._core") is not None


# -- parts


def dtype(kind: str, order: str = "<", *, names: bytes = NONE, fields: bytes = NONE, base: bytes = NONE,
          size: int = -1, alignment: int = -1, flags: int = 0) -> bytes:  # fmt: skip
    state = tup(
        number(3), ORDERS[order], base, names, fields, number(size), number(alignment), number(flags)
    )
    return build(call(found("numpy", "dtype"), text(kind), b"\x89", b"\x88"), state)


def structured(size: int, *fields: tuple[str, bytes, int], flags: int = 16) -> bytes:
    names = tup(*(text(name) for name, _, _ in fields))
    table = dct(*(part for name, inner, at in fields for part in (text(name), tup(inner, number(at)))))
    return dtype(f"V{size}", "|", names=names, fields=table, size=size, alignment=1, flags=flags)


def array(kind: bytes, shape: bytes, content: bytes, core: str = CORES[0]) -> bytes:
    made = call(found(f"{core}.multiarray", "_reconstruct"), found("numpy", "ndarray"), tup(number(0)), data(b"b"))
    return build(made, tup(number(1), shape, kind, b"\x89", content))


def on_buffer(kind: bytes, shape: bytes, content: bytes, core: str = CORES[0]) -> bytes:
    return call(found(f"{core}.numeric", "_frombuffer"), content, kind, shape, text("C"))


ONE, EIGHT = tup(number(1)), data(b"\1" * 8)
F8, I1, BOOL = dtype("f8"), dtype("i1", "|"), dtype("b1", "|")
OBJECT = dtype("O8", "|", flags=63)


# -- families


def _dtypes() -> Iterator[tuple[str, str, bytes, frozenset[str]]]:
    family = FAMILIES[0]
    for name, kind, expect in (
        ("field_past_the_element", structured(8, ("a", F8, 4)), CORRUPT),
        ("field_a_gigabyte_past_the_element", structured(8, ("a", F8, 2**30)), CORRUPT),
        ("field_before_the_element", structured(8, ("a", F8, -(2**30))), CORRUPT),
        ("object_field_with_flags_0", structured(8, ("a", OBJECT, 0), flags=0), UNTRUSTED),
        ("object_field_that_is_not_flagged", structured(8, ("a", dtype("O8", "|"), 0), flags=0), UNTRUSTED),
        ("objects", OBJECT, UNTRUSTED),
        ("number_of_another_size", dtype("f8", size=1 << 20), CORRUPT),
        ("flags_of_objects", dtype("f8", flags=63), CORRUPT),
        ("alignment_of_0", structured(8, ("a", F8, 0)).replace(number(1) + number(16), number(0) + number(16)), CORRUPT),
        ("text_of_another_size", dtype("U1", size=1 << 20, alignment=4, flags=8), CORRUPT),
        ("subarray_beyond_the_element", dtype("V8", "|", base=tup(F8, tup(number(1 << 20))), size=8, alignment=8), CORRUPT),
        ("element_of_8_exabytes", dtype("V8", "|", size=2**62, alignment=1), CORRUPT),
    ):  # fmt: skip
        yield family, name, stream(array(kind, ONE, EIGHT)), expect
        yield family, f"{name}_on_a_buffer", stream(on_buffer(kind, ONE, EIGHT)), expect
        yield family, f"{name}_scalar", stream(call(found("numpy.core.multiarray", "scalar"), kind, EIGHT)), expect
    loop = build(call(found("numpy", "dtype"), text("V8"), b"\x89", b"\x88") + keep(9), tup(
        number(3), text("|"), NONE, tup(text("a")), dct(text("a"), tup(get(9), number(0))), number(8), number(1), number(16)
    ))  # fmt: skip
    yield family, "dtype_in_itself", stream(loop), CORRUPT
    yield family, "state_for_the_class", stream(build(found("numpy", "dtype"), tup())), REFUSED
    yield family, "array_by_its_class", stream(call(found("numpy", "ndarray"), ONE, text("O"))), REFUSED
    yield family, "array_by_new", stream(found("numpy", "ndarray") + tup(tup(number(1 << 40)), text("O")) + b"\x81"), REFUSED
    yield family, "dtype_by_new", stream(found("numpy", "dtype") + tup(text("O")) + b"\x81"), REFUSED


def _shapes() -> Iterator[tuple[str, str, bytes, frozenset[str]]]:
    family, empty = FAMILIES[1], data(b"")
    for name, shape, content in (
        ("terabytes", tup(number(1 << 40)), EIGHT), ("product_wraps_to_8", tup(number(1 << 63), number(2), number(8)), EIGHT),
        ("product_wraps_to_0", tup(number(1 << 32), number(1 << 32)), empty), ("none_of_a_trillion", tup(number(1 << 40), number(0)), empty),
        ("negative", tup(number(-1), number(-1)), EIGHT), ("minus_one_is_the_rest", tup(number(-1)), EIGHT),
        ("a_thousand_dimensions", tup(*[number(1)] * 1000), EIGHT), ("bools", tup(b"\x88", b"\x88"), EIGHT),
        ("too_much_data", ONE, data(b"x" * 100)), ("a_list", lst(number(1)), EIGHT), ("a_number", number(1), EIGHT),
    ):  # fmt: skip
        yield family, name, stream(array(F8, shape, content)), CORRUPT
        yield family, f"{name}_on_a_buffer", stream(on_buffer(F8, shape, content)), CORRUPT


def _contents() -> Iterator[tuple[str, str, bytes, frozenset[str]]]:
    family, eight = FAMILIES[2], tup(number(8))
    for name, kind, shape, content in (
        ("bool_of_255", BOOL, eight, data(b"\xff" * 8)),
        ("bool_in_a_field", structured(8, ("a", BOOL, 7)), ONE, data(b"\2" * 8)),
        ("character_beyond_unicode", dtype("U2", size=8, alignment=4, flags=8), ONE, data(b"\xff" * 8)),
        ("text_for_bytes", F8, ONE, text("\u1234" * 8)), ("a_number_for_bytes", F8, ONE, number(8)),
        ("an_array_for_bytes", F8, ONE, lst(number(8))),
    ):  # fmt: skip
        yield family, name, stream(array(kind, shape, content)), CORRUPT
        yield family, f"{name}_on_a_buffer", stream(on_buffer(kind, shape, content)), CORRUPT


def _costs() -> Iterator[tuple[str, str, bytes, frozenset[str]]]:
    family, size = FAMILIES[3], 4_000_000
    large = data(b"\1" * size) + keep(1)
    for name, kind in (("copies", I1), ("looks", BOOL)):
        made = array(kind, tup(number(size)), get(1))
        yield family, name, stream(large, b"0(", made * 400, b"l"), CORRUPT
    made = on_buffer(BOOL, tup(number(size)), get(1))
    yield family, "looks_at_a_buffer", stream(large, b"0(", made * 2000, b"l"), CORRUPT
    many = structured(9000, *((f"f{index}", I1, index) for index in range(9000)))
    wrapped = dtype("V9000", "|", base=tup(get(2), ONE), size=9000, alignment=1)
    yield family, "dtypes_of_many_fields", stream(many, keep(2), b"0(", wrapped * 3000, b"l"), CORRUPT
    doubled = structured(2, ("a", I1, 0), ("b", I1, 1)) + keep(3)
    for level in range(1, 20):
        half = 1 << level
        doubled += b"0" + structured(2 * half, ("a", get(3), 0), ("b", get(3), half)) + keep(3)
    yield family, "fields_that_double", stream(doubled), CORRUPT


# -- what loads


def _sound(core: str) -> Iterator[tuple[str, str, bytes, str]]:
    whole = structured(12, ("a", dtype("i4"), 0), ("b", F8, 4))
    yield FAMILIES[0], "structured", stream(array(whole, ONE, data(b"\1\0\0\0" + b"\0" * 8), core)), "(1, 0.)"
    yield FAMILIES[0], "scalar", stream(call(found(f"{core}.multiarray", "scalar"), F8, data(b"\0" * 8))), "0.0"
    yield FAMILIES[1], "empty", stream(array(F8, tup(number(0), number(5)), data(b""), core)), "shape=(0, 5)"
    yield FAMILIES[1], "buffer", stream(on_buffer(I1, tup(number(2), number(4)), EIGHT, core)), "[1, 1, 1, 1]"
    yield FAMILIES[2], "bools", stream(array(BOOL, tup(number(8)), EIGHT, core)), "True"
    text_of = dtype("U2", size=8, alignment=4, flags=8)
    yield FAMILIES[2], "text", stream(array(text_of, ONE, data(b"a\0\0\0" b"\xfe\xff\x10\0"), core)), "'a"
    yield FAMILIES[3], "large", stream(array(BOOL, tup(number(10_000_000)), data(b"\1" * 10_000_000), core)), "True"
