"""Streams that would take memory, time or the C stack."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from assembler import (  # isort: skip
    CONTAINED, CORRUPT, NONE, Stream, aside, build, call, data, dct, found, get, keep, lst, new, number, state,
    stream, text, tup,
)

MODULUS = 2**61 - 1  # hash(n) is n modulo this
_FLOAT = b"G\x3f\xf0\0\0\0\0\0\x01"
Body = bytes | Callable[[], bytes]


def streams() -> Iterator[Stream]:
    for family, make in _FAMILIES.items():
        for name, body, *rest in make():
            expect = next((item for item in rest if isinstance(item, frozenset)), CORRUPT)
            yield Stream(family, name, body, expect, heavy="heavy" in rest)


# -- memory


def _memo() -> Iterator[tuple]:
    yield "index_of_four_bytes", stream(NONE, b"r\xff\xff\xff\xff")
    yield "index_of_two_billion", stream(NONE, b"r\xff\xff\xff\x7f")
    yield "index_as_text", b"Np99999999999\n."
    yield "index_of_thousands_of_digits", b"Np" + b"9" * 4000 + b"\n."
    yield "index_of_millions_of_digits", lambda: b"Np" + b"9" * 5_000_000 + b"\n."
    yield "negative_index", b"Np-1\n."
    yield "not_made", stream(get(7))
    yield "not_made_by_its_text", b"g7\n."
    yield (
        "copies_of_one_large_value",
        lambda: stream(
            aside(0, found("builtins", "bytearray")),
            aside(1, data(b"x" * 1_000_000)),
            (get(0) + get(1) + b"\x85R") * 5000,
        ),
    )


def _lengths() -> Iterator[tuple]:
    for name, opcode, width in (
        ("SHORT_BINUNICODE", 0x8C, 1), ("BINUNICODE", 0x58, 4), ("BINUNICODE8", 0x8D, 8), ("SHORT_BINBYTES", 0x43, 1),
        ("BINBYTES", 0x42, 4), ("BINBYTES8", 0x8E, 8), ("BYTEARRAY8", 0x96, 8), ("SHORT_BINSTRING", 0x55, 1),
        ("LONG1", 0x8A, 1),
    ):  # fmt: skip
        yield name, stream(bytes([opcode]), b"\xff" * width, b"few")
    for name, opcode in (("LONG4", 0x8B), ("BINSTRING", 0x54)):
        yield name, stream(bytes([opcode]), b"\xff\xff\xff\x7f", b"few")
        yield f"{name}_negative", stream(bytes([opcode]), b"\xff\xff\xff\xff", b"few")
    yield "BINBYTES8_of_half_an_exabyte", stream(b"\x8e", (1 << 59).to_bytes(8, "little"), b"few")
    yield "FRAME", stream(b"\x95", b"\xff" * 8, b"few")


def _floods() -> Iterator[tuple]:
    def flood(unit: bytes, count: int, *before: bytes) -> Callable[[], bytes]:
        kept = b"".join(aside(index, value) for index, value in enumerate(before))
        return lambda: stream(kept, b"(", unit * count, b"t")

    yield "lists", flood(b"]\x94", 1_300_000), "heavy"
    yield "dicts", flood(b"}\x94", 1_150_000), "heavy"
    yield "sets", flood(b"\x8f\x94", 500_000), "heavy"
    yield "frozensets", flood(b"(\x91", 150_000), "heavy", CONTAINED
    yield "tuples_in_tuples", flood(b"N\x85\x85", 100_000), "heavy", CONTAINED
    yield "dicts_of_one_key", flood(b"}" + get(0) + b"Ns", 200_000, _FLOAT), "heavy", CONTAINED
    yield "deques", flood(get(0) + b")R", 200_000, found("collections", "deque")), "heavy"
    yield "ordered_dicts", flood(get(0) + b")R", 150_000, found("collections", "OrderedDict")), "heavy", CONTAINED
    plain = found("victims", "Plain"), state(a=NONE)
    yield "objects", flood(get(0) + b")\x81" + get(1) + b"b", 50_000, *plain), "heavy", CONTAINED
    yield (
        "zones_without_cache",
        flood(get(0) + get(1) + b"\x89\x86R", 20_000, found("zoneinfo", "ZoneInfo._unpickle"), text("Europe/Berlin")),
        "heavy",
    )
    numbers = lst(*(number(index) for index in range(200)))
    yield "copies_of_a_set", flood(get(0) + get(1) + b"\x85R", 50_000, found("builtins", "set"), numbers), "heavy"


# -- time


def _tower(levels: int) -> bytes:
    """A tuple of itself twice, so often: hashing it takes 2 ** levels steps."""
    return number(1) + (keep(200) + get(200) + b"\x86") * levels


def _towers() -> Iterator[tuple]:
    frozen, tower = found("victims", "Frozen"), _tower(40)
    yield "key_of_a_dict", stream(dct(tower, NONE))
    yield "key_by_setitem", stream(b"}", tower, NONE, b"s")
    yield "member_of_a_set", stream(b"\x8f(", tower, b"\x90")
    yield "member_of_a_frozenset", stream(b"(", tower, b"\x91")
    yield "in_a_list_for_a_set", stream(call(found("builtins", "set"), lst(tower)), protocol=2)
    yield "key_of_a_counter", stream(call(found("collections", "Counter"), dct(tower, NONE)))
    yield "through_the_memo", stream(aside(0, tower), dct(get(0), NONE))
    yield "in_a_namedtuple", stream(dct(new(found("victims", "Point"), tower, tower), NONE))
    yield "in_an_object_that_hashes_it", stream(dct(build(new(frozen), state(part=tower)), NONE)), "heavy"
    yield "for_a_set_of_the_program", stream(call(found("victims", "ASet"), lst(tower)))
    yield "for_a_class_that_hashes_it", stream(call(found("victims", "Tagged"), lst(tower)))
    yield "for_a_dict_of_the_program", stream(call(found("victims", "ADict"), lst(tup(tower, NONE))))
    yield "in_a_slice", stream(dct(call(found("builtins", "slice"), tower, NONE, NONE), NONE)), "heavy"
    yield "of_objects_filled_afterwards", stream(*_filled_afterwards(40, frozen)), "heavy"
    yield "not_hashed", stream(lst(tower)), CONTAINED


def _filled_afterwards(levels: int, frozen: bytes) -> Iterator[bytes]:
    """Objects in tuples in objects: each tuple is light when it is made."""
    yield aside(255, frozen)
    for level in range(levels):
        yield aside(2 * level, get(255) + b")\x81")
        yield aside(2 * level + 1, get(2 * level) * 2 + b"\x86")
    for level in range(1, levels):
        yield build(get(2 * level), state(part=get(2 * level - 1))) + b"0"
    yield dct(get(2 * levels - 2), NONE)


def _collisions() -> Iterator[tuple]:
    def many(make: Callable[[int], bytes], count: int = 30_000) -> list[bytes]:
        return [make(index) for index in range(1, count)]

    multiple = many(lambda index: number(index * MODULUS))
    yield "integers_in_a_dict", stream(dct(*(key + NONE for key in multiple)))
    yield "integers_in_a_set", stream(b"\x8f(", *multiple, b"\x90")
    yield "integers_one_by_one", stream(b"}", *(key + b"Ns" for key in multiple))
    yield "integers_in_a_frozenset", stream(b"(", *multiple, b"\x91")
    yield "integers_for_a_set_of_the_program", stream(call(found("victims", "ASet"), lst(*multiple)))
    yield (
        "integers_for_a_dict_of_the_program",
        stream(call(found("victims", "ADict"), lst(*(key + b"N\x86" for key in multiple)))),
    )
    yield "fractions", stream(
        aside(0, found("fractions", "Fraction")), b"\x8f(",
        *many(lambda index: get(0) + number(index * MODULUS) + b"K\x01\x86R", 3000), b"\x90",
    )  # fmt: skip
    yield "addresses_of_the_memo", b"".join(b"Np%d\n0" % (index * MODULUS) for index in range(1, 20_000)) + b"N."
    yield (
        "integers_that_probe_alike",
        lambda: stream(dct(*(number(key) + NONE for key in probing(14)))),
        CONTAINED,
        "heavy",
    )
    yield (
        "integer_of_a_megabyte_and_a_decimal",
        stream(dct(number(1 << 3_000_000), NONE, call(found("decimal", "Decimal"), text("1E+903089")), NONE)),
    )
    large = [data(b"x" * 1_000_000 + ending) for ending in (b"y", b"y")]
    yield (
        "equal_megabytes",
        lambda: stream(aside(0, large[0]), aside(1, large[1]), b"}", (get(0) + b"Ns" + get(1) + b"Ns") * 200_000),
        "heavy",
    )


def probing(bits: int) -> list[int]:
    """Integers of different hash, whose slots in a dict of 2 ** bits lie at the begin of one long occupied run."""
    mask, chosen = (1 << bits) - 1, random.Random(1)
    run = [0]
    while len(run) < mask * 2 // 5:
        run.append((run[-1] * 5 + 1) & mask)
    place = {slot: index for index, slot in enumerate(run)}
    keys = set()
    while len(keys) < mask // 5:
        key = chosen.choice(run) | chosen.getrandbits(8) << bits
        slot, rest = key & mask, key
        while rest and slot in place:
            rest >>= 5
            slot = (slot * 5 + rest + 1) & mask
        if not rest and place.get(slot, mask) < len(run) // 2:
            keys.add(key)
    return run + sorted(keys - set(run))


def _digits() -> Iterator[tuple]:
    digits = b"9" * 10_000_000
    for name, opcode, ending in (("INT", b"I", b"\n"), ("LONG", b"L", b"L\n"), ("GET", b"g", b"\n")):
        yield name, lambda opcode=opcode, ending=ending: opcode + digits + ending + b"."
    yield "FLOAT", lambda: b"F1." + digits + b"\n.", CONTAINED
    yield "FLOAT_exponent", lambda: b"F1e" + digits + b"\n."
    yield "decimal", lambda: stream(call(found("decimal", "Decimal"), text("9" * 10_000_000)))
    yield "fraction", lambda: stream(call(found("fractions", "Fraction"), text("9" * 10_000_000 + "/7")))
    numbers = aside(0, found("fractions", "Fraction")), aside(1, number(3**500_000)), aside(2, number(7**280_000))
    yield "fractions_of_large_numbers", lambda: stream(*numbers, (get(0) + get(1) + get(2) + b"\x86R0") * 100, NONE)
    small = aside(0, found("fractions", "Fraction")), aside(1, number(3**9_000)), aside(2, number(7**5_000))
    yield (
        "fractions_of_smaller_ones",
        lambda: stream(*small, (get(0) + get(1) + get(2) + b"\x86R0") * 100_000, NONE),
        "heavy",
    )
    path = aside(0, found("pathlib", "PurePosixPath")), aside(1, text("a/" * 100_000))
    yield "paths_of_many_parts", lambda: stream(*path, (get(0) + get(1) + b"\x85R0") * 5000, NONE), "heavy"


def _appends() -> Iterator[tuple]:
    yield "to_a_list", stream(b"]", b"K\x01a" * 100_000), CONTAINED, "heavy"
    yield "to_a_deque", stream(found("collections", "deque"), b")R", b"K\x01a" * 100_000), CONTAINED, "heavy"
    yield (
        "to_a_list_of_the_program",
        stream(found("victims", "AList"), b")\x81", b"K\x01a" * 100_000),
        CONTAINED,
        "heavy",
    )
    yield "to_a_dict", stream(b"}", b"K\x01Ns" * 100_000), CONTAINED, "heavy"
    yield "to_a_set", stream(b"\x8f", b"(K\x01\x90" * 100_000), CONTAINED, "heavy"
    yield "pops", stream(b"N0" * 200_000, NONE), CONTAINED, "heavy"
    yield "marks_popped", stream(b"(1" * 200_000, NONE), CONTAINED, "heavy"


# -- depth


def _keys() -> Iterator[tuple]:
    yield "tuple", stream(dct(b")" + b"\x85" * 100_000, NONE))
    yield "tuple_of_99", stream(dct(b")" + b"\x85" * 98, NONE)), CONTAINED
    yield "frozenset", stream(b"(" * 50_000, b"\x91" * 50_000)
    yield "namedtuple", stream(aside(0, found("victims", "Point")), b"}", *_nested_points(50_000), b"Ns")
    frozen = aside(0, found("victims", "Frozen"))
    yield "object", stream(frozen, b"}", NONE, _inside_out(b"\x94", 1000), b"Ns")


def _nested_points(levels: int) -> list[bytes]:
    return [b"N", b"N", *([b"\x86", b"q\x01", b"0", get(0), get(1), b"\x81", b"N"] * levels), b"0"]


def _inside_out(opcode: bytes, levels: int) -> bytes:
    """Frozen(Frozen(…)), made from the inside."""
    return (b"q\x01" + b"0" + get(0) + b")\x81" + state(part=get(1)) + b"b") * levels


def _containers() -> Iterator[tuple]:
    yield "lists", stream(b"]" * 100_000, b"a" * 99_999), CONTAINED, "heavy"
    yield "lists_by_marks", stream(b"](" * 90_000, b"e" * 90_000), CONTAINED, "heavy"
    yield "lists_by_the_old_opcode", stream(b"(" * 90_000, b"l" * 90_000), CONTAINED, "heavy"
    yield "dicts", stream(b"}K\x01" * 100_000, b"N", b"s" * 100_000), CONTAINED, "heavy"
    yield "tuples", stream(b")", b"\x85" * 200_000)
    yield "slices", stream(aside(0, found("builtins", "slice")), NONE, _wrapped(b"NN\x87", 200_000))
    yield (
        "default_dicts",
        stream(aside(0, found("collections", "defaultdict")), (get(0) + b")RK\x01") * 100_000, NONE, b"s" * 100_000),
        "heavy",
    )
    deque = aside(0, found("collections", "deque"))
    yield "deques", stream(deque, (get(0) + b")R") * 20_000, b"a" * 19_999)
    yield "deques_from_the_outside", stream(deque, *_from_the_outside(get(0) + b")R", b"a", 20_000))
    yield "deques_and_slices_in_turn", stream(
        deque, aside(2, found("builtins", "slice")), NONE,
        (b"q\x01" + b"0" + get(0) + b")R" + get(1) + b"a" + b"q\x01" + b"0" + get(2) + get(1) + b"NN\x87R") * 10_000,
    )  # fmt: skip
    yield (
        "os_errors",
        stream(
            aside(0, found("builtins", "OSError")),
            NONE,
            (b"q\x01" + b"0" + get(0) + b"K\x01N" + get(1) + b"\x87R") * 50_000,
        ),
    )
    for name, field in (("AttributeError", "obj"), ("ImportError", "name"), ("SyntaxError", "msg")):
        unit = b"q\x01" + b"0" + get(0) + b")R" + state(**{field: get(1)}) + b"b"
        yield f"fields_of_{name}", stream(aside(0, found("builtins", name)), NONE, unit * 50_000)
    yield (
        "objects",
        stream(
            aside(0, found("victims", "Plain")),
            NONE,
            (b"q\x01" + b"0" + get(0) + b")\x81" + state(a=get(1)) + b"b") * 30_000,
        ),
        CONTAINED,
    )
    yield (
        "exceptions",
        stream(
            aside(0, found("builtins", "ValueError")), NONE, (b"q\x01" + b"0" + get(0) + get(1) + b"\x85R") * 50_000
        ),
        CORRUPT,
    )


def _wrapped(rest: bytes, levels: int) -> bytes:
    """function(value, …) of what is on the stack, so often."""
    return (b"q\x01" + b"0" + get(0) + get(1) + rest + b"R") * levels


def _from_the_outside(make: bytes, put: bytes, levels: int) -> Iterator[bytes]:
    """Each is put into another before it gets an inside itself."""
    this = [(256 + level).to_bytes(4, "little") for level in range(levels)]
    yield make + b"r" + this[0]
    for level in range(1, levels):
        yield make + b"r" + this[level] + b"0" + b"j" + this[level - 1] + b"j" + this[level] + put + b"0"


def _marks() -> Iterator[tuple]:
    yield "open", stream(b"(" * 1_000_000)
    yield "closed", stream(b"(" * 200_000, b"t" * 200_000)
    yield "popped", stream(b"(" * 99_000, b"1" * 99_000, NONE), CONTAINED


_FAMILIES = {
    "memory: memo": _memo, "memory: lengths": _lengths, "memory: floods": _floods, "time: towers": _towers,
    "time: collisions": _collisions, "time: digits": _digits, "time: appends": _appends, "depth: keys": _keys,
    "depth: containers": _containers, "depth: marks": _marks,
}  # fmt: skip
