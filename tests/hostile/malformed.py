"""Streams that no pickler writes."""

from __future__ import annotations

from collections.abc import Iterator

from assembler import (  # isort: skip
    CORRUPT, LOADS, NONE, REFUSED, Stream, build, call, data, dct, found, get, lst, new, number, state, stream, text,
    tup,
)

_FRAME = b"\x95"


def streams() -> Iterator[Stream]:
    for family, make in _FAMILIES.items():
        for name, body, *rest in make():
            yield Stream(family, name, body, rest[0] if rest else CORRUPT)


def _size(length: int) -> bytes:
    return _FRAME + length.to_bytes(8, "little")


def _underflow() -> Iterator[tuple]:
    for name, opcode in (
        ("STOP", b""), ("POP", b"0"), ("POP_MARK", b"1"), ("DUP", b"2"), ("APPEND", b"a"), ("APPENDS", b"e"),
        ("LIST", b"l"), ("DICT", b"d"), ("TUPLE", b"t"), ("TUPLE1", b"\x85"), ("SETITEM", b"s"), ("SETITEMS", b"u"),
        ("ADDITEMS", b"\x90"), ("FROZENSET", b"\x91"), ("REDUCE", b"R"), ("BUILD", b"b"), ("NEWOBJ", b"\x81"),
        ("NEWOBJ_EX", b"\x92"), ("STACK_GLOBAL", b"\x93"), ("MEMOIZE", b"\x94"), ("BINPUT", b"q\x00"), ("OBJ", b"o"),
        ("BINPERSID", b"Q"), ("READONLY_BUFFER", b"\x98"), ("PUT", b"p0\n"),
    ):  # fmt: skip
        yield name, stream(opcode)
    for name, opcodes in (
        ("TUPLE2", b"N\x86"), ("TUPLE3", b"NN\x87"), ("APPENDS_without_a_list", b"(Ne"),
        ("OBJ_without_a_class", b"(o"),
        ("SETITEMS_without_a_value", b"}(Nu"), ("DICT_without_a_value", b"(Nd"), ("tuple_across_a_mark", b"NN(N\x87"),
        ("APPEND_across_a_mark", b"](Na"), ("values_left_over", b"NN"), ("mark_left_over", b"N("),
    ):  # fmt: skip
        yield name, stream(opcodes)


def _ends() -> Iterator[tuple]:
    yield "nothing", b"", frozenset({"EOFError", "Corrupt"})
    yield "protocol_only", b"\x80\x04"
    yield "without_STOP", b"\x80\x04N"
    yield "half_a_text", b"\x80\x04\x8c\x09half"
    yield "half_a_length", b"\x80\x04X\x01\x00"
    yield "half_a_number", b"\x80\x04J\x01"
    yield "half_a_line", b"cbuiltins\nlen"
    yield "half_a_global", b"cbuiltins\n"
    yield "protocol_of_the_future", b"\x80\x06N."
    yield "opcode_of_the_future", stream(b"\x99")
    yield "opcode_of_nobody", stream(b"\xff")
    yield "json", b'{"theme": "dark"}'
    yield "zeros", bytes(100)
    yield "persistent_id", stream(b"Pname\n")
    yield "persistent_id_from_the_stack", stream(b"NQ")
    yield "buffer_that_is_not_there", stream(b"\x97")


def _trailing() -> Iterator[tuple]:
    for name, more in (("zero", b"\0"), ("pickle", stream(NONE)), ("payload", stream(b"(cos\nsystem\nN", b"o")),
                       ("line_feed", b"\n")):  # fmt: skip
        yield name, stream(NONE) + more, LOADS | CORRUPT  # `loads` ignores them as the stdlib does, a record may not


def _frames() -> Iterator[tuple]:
    yield "longer_than_the_pickle", stream(_size(100), NONE)
    yield "shorter_than_an_argument", stream(_size(3), text("abcdef"))
    yield "ends_before_an_argument", stream(_size(1), b"K", b"\x01")
    yield "ends_in_a_line", stream(_size(4), b"cbuiltins\nlen\n")
    yield "in_a_frame", stream(_size(13), NONE, b"0", _size(1), NONE)
    yield "around_the_next_one", stream(_size(12), _size(2), NONE)
    yield "that_hides_an_opcode", stream(_size(2), NONE + b"0" + found("os", "system")), REFUSED
    yield "that_goes_on_after_STOP", b"\x80\x04" + _size(3) + b"N.N"
    yield "of_no_bytes", stream(_size(0), NONE), LOADS
    yield "of_half_the_address_space", stream(_size(1 << 63), NONE)
    yield "before_the_protocol", _size(4) + b"\x80\x04N.", LOADS


def _encodings() -> Iterator[tuple]:
    yield "text", stream(b"\x8c\x02\xff\xfe")
    yield "overlong", stream(b"\x8c\x02\xc0\x80")
    yield "cut_short", stream(b"\x8c\x02\xe2\x82")
    yield "name_of_a_global", b"c\xff\xfe\nlen\n."
    yield "old_text", b"U\x01\xff."
    yield "old_text_without_quotes", b"Sabc\n."
    yield "old_text_with_one_quote", b"S'abc\n."
    yield "old_text_with_a_bad_escape", b"S'\\x4'\n."
    yield "escape_of_a_character", b"V\\u12\n."
    yield "character_beyond_unicode", b"V\\Uffffffff\n."
    yield "persistent_id", b"P\xff\n."
    yield "number_with_a_letter", b"I12x\n."
    yield "number_in_octal", b"I010\n."
    yield "number_in_hexadecimal", b"I0x10\n."
    yield "number_of_nothing", b"I\n."
    yield "number_with_underscores", b"L1_000L\n."
    yield "float_with_underscores", b"F1_0.5\n."
    yield "float_with_spaces", b"F 1.5 \n."
    yield "float_of_nothing", b"F\n."
    yield "bytes_beyond_latin_1", stream(call(found("_codecs", "encode"), text("€"), text("latin1")))


def _containing() -> Iterator[tuple]:
    yield (
        "tuple_in_its_own_list_as_a_key",
        stream(b"]\x94", get(0), b"\x85\x94", get(0), get(1), b"a0}", get(1), b"Ns"),
    )
    yield (
        "frozen_object_in_itself_as_a_key",
        stream(new(found("victims", "Frozen")), b"\x94", state(part=get(0)), b"b0}", get(0), b"Ns"),
    )
    yield "list_as_its_own_key", stream(b"}\x94", get(0), NONE, b"s")
    yield "set_in_itself", stream(b"\x8f\x94", b"(", get(0), b"\x90")
    yield "state_in_itself", stream(build(new(found("victims", "Plain")), b"}\x94(" + number(1) + get(0) + b"u"))


def _keys() -> Iterator[tuple]:
    for name, key in (
        ("list", b"]"), ("dict", b"}"), ("set", b"\x8f"), ("bytearray", b"\x96" + bytes(8)),
        ("list_in_a_tuple", tup(lst(NONE))), ("deque", call(found("collections", "deque"))),
        ("ordered_dict", call(found("collections", "OrderedDict"))), ("signalling_nan", _decimal("sNaN")),
        ("list_of_the_program", new(found("victims", "AList"))),
    ):  # fmt: skip
        yield f"{name}_in_a_dict", stream(dct(key, NONE))
        yield f"{name}_in_a_set", stream(b"\x8f(", key, b"\x90")


def _decimal(value: str) -> bytes:
    return call(found("decimal", "Decimal"), text(value))


def _targets() -> Iterator[tuple]:
    yield "append_to_a_tuple", stream(b")", NONE, b"a")
    yield "append_to_a_dict", stream(b"}", NONE, b"a")
    yield "item_of_a_list", stream(b"]", NONE, NONE, b"s")
    yield "member_of_a_list", stream(b"](", NONE, b"\x90")
    yield "member_of_a_frozenset", stream(b"(\x91", b"(", NONE, b"\x90")
    yield "arguments_in_a_list", stream(found("victims", "Plain"), lst(), b"R")
    yield "arguments_of_newobj_in_a_list", stream(found("victims", "Plain"), lst(), b"\x81")
    yield "names_that_are_no_dict", stream(found("victims", "Plain"), b")", lst(), b"\x92")
    yield "names_that_are_no_text", stream(found("victims", "Plain"), b")", dct(number(1), NONE), b"\x92")
    yield "too_many_arguments", stream(new(found("victims", "Plain"), NONE, NONE))
    yield "state_of_a_list", stream(build(b"]", b"}")), REFUSED
    yield "view_of_a_list", stream(b"]\x98")
    yield "arguments_of_a_date", stream(call(found("datetime", "date"), data(b"1"), NONE, NONE, NONE))


_FAMILIES = {
    "malformed: underflow": _underflow, "malformed: ends": _ends, "malformed: trailing bytes": _trailing,
    "malformed: frames": _frames, "malformed: encodings": _encodings, "malformed: self-containing": _containing,
    "malformed: keys": _keys, "malformed: targets": _targets,
}  # fmt: skip
