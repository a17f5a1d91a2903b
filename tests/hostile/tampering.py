"""Streams that would change what everybody shares, or make objects that cannot be."""

from __future__ import annotations

from collections.abc import Iterator

from assembler import (  # isort: skip
    CONTAINED, CORRUPT, LOADS, NONE, REFUSED, SYSTEM, UNTRUSTED, VICTIM, Stream, aside, build, call, data, dct, found,
    get, lst, new, new_ex, number, state, stream, text, tup,
)

_PLAIN = new(VICTIM)
_LEN = found("builtins", "len")
_RANGE = call(found("builtins", "range"), number(10**11))
_RECONSTRUCT = found("copyreg", "_reconstructor")


def streams() -> Iterator[Stream]:
    for family, make in _FAMILIES.items():
        yield from (Stream(family, *given) if isinstance(given, tuple) else given for given in make(family))


def _patching(family: str) -> Iterator[tuple | Stream]:
    for name, target in (
        ("allowed_class", VICTIM), ("function", _LEN), ("standard_class", found("decimal", "Decimal")),
        ("exception_class", found("builtins", "ValueError")), ("dict_class", found("collections", "OrderedDict")),
    ):  # fmt: skip
        yield f"{name}_by_state", stream(build(target, state(method=_LEN))), UNTRUSTED
        yield f"{name}_by_slots", stream(build(target, tup(NONE, state(method=_LEN)))), UNTRUSTED
    yield (
        "member_of_an_enum",
        stream(build(call(found("victims", "Colour"), text("red")), state(_value_=NONE))),
        CORRUPT,
    )
    yield (
        "member_of_an_int_enum",
        stream(build(call(found("victims", "Choice"), number(1)), state(_name_=NONE))),
        CORRUPT,
    )
    yield "enum_made_by_a_call", stream(call(found("victims", "Bare"), text("New"), text("a b"))), CORRUPT
    yield "method_of_an_instance", stream(build(_PLAIN, state(method=SYSTEM))), UNTRUSTED
    yield "standard_instance", stream(build(call(found("decimal", "Decimal"), text("1")), state(a=NONE))), UNTRUSTED
    yield (
        "attribute_of_a_function_found",
        stream(build(found("copyreg", "_reconstructor"), state(__code__=NONE))),
        UNTRUSTED,
    )


def _classes(family: str) -> Iterator[tuple | Stream]:
    slotted = new(found("victims", "Slotted"))
    yield Stream(
        family, "in_the_state", stream(build(_PLAIN, state(__class__=found("victims", "AList")))), LOADS,
        check=lambda value: type(value).__name__ == "Plain",
    )  # fmt: skip
    yield Stream(
        family, "dict_in_the_state", stream(build(_PLAIN, state(__dict__=state(a=NONE)))), LOADS,
        check=lambda value: not hasattr(value, "a"),
    )  # fmt: skip
    yield "among_the_slots", stream(build(_PLAIN, tup(NONE, state(__class__=found("victims", "AList"))))), CORRUPT
    yield "of_a_slotted_object", stream(build(slotted, tup(NONE, state(__class__=VICTIM)))), CORRUPT
    yield "dict_among_the_slots", stream(build(_PLAIN, tup(NONE, state(__dict__=b"}")))), CORRUPT
    yield "weakref_among_the_slots", stream(build(_PLAIN, tup(NONE, state(__weakref__=NONE)))), CORRUPT
    yield "of_an_exception", stream(build(call(found("builtins", "ValueError")), state(__class__=VICTIM))), CORRUPT
    yield (
        "traceback_of_an_exception",
        stream(build(call(found("victims", "AnError")), state(__traceback__=NONE))),
        CORRUPT,
    )
    yield "of_a_bare_object", stream(build(new(found("builtins", "object")), state(__class__=VICTIM))), UNTRUSTED
    yield "name_that_is_no_text", stream(build(_PLAIN, dct(number(1), NONE))), CORRUPT
    yield "state_that_is_no_dict", stream(build(_PLAIN, number(7))), CORRUPT


def _invariants(family: str) -> Iterator[tuple | Stream]:
    fraction, uuid = found("fractions", "Fraction"), found("uuid", "UUID")
    slots = state(_numerator=number(1), _denominator=number(-2))
    yield "fraction_with_a_negative_state", stream(build(new(fraction), tup(NONE, slots))), UNTRUSTED
    yield "fraction_reconstructed", stream(call(_RECONSTRUCT, fraction, found("builtins", "object"), NONE)), UNTRUSTED
    yield "fraction_by_zero", stream(call(fraction, number(1), number(0))), CORRUPT
    for name, parts in (
        ("negative", state(int=number(-1))), ("too_large", state(int=number(1 << 128))),
        ("text", state(int=text("1"))), ("missing", b"}"), ("more", state(int=number(1), other=NONE)),
        ("safety", state(int=number(1), is_safe=VICTIM)),
    ):  # fmt: skip
        yield f"uuid_{name}", stream(build(new(uuid), parts)), CORRUPT
    yield "uuid_without_state", stream(new(uuid)), CORRUPT
    yield "uuid_without_state_as_a_key", stream(dct(aside(0, new(uuid)) + get(0), NONE)), CORRUPT
    for kind, packed in (
        ("date", b"\x07\xe8\x0d\x01"), ("date", b"\x07\xe8\x02\x1f"), ("time", b"\x19\0\0\0\0\0"), ("time", b"\0"),
        ("datetime", b"\x07\xe8\x01\x01\x18\0\0\0\0\0"), ("datetime", b"\0" * 10),
    ):  # fmt: skip
        yield f"{kind}_{packed.hex()}", stream(call(found("datetime", kind), data(packed))), CORRUPT
    day = call(found("datetime", "timedelta"), number(1), number(1), number(0))
    yield "time_zone_of_a_day", stream(call(found("datetime", "timezone"), day)), CORRUPT
    yield "time_zone_that_is_none", stream(call(found("datetime", "time"), data(bytes(6)), _PLAIN)), CORRUPT
    yield (
        "namedtuple_with_too_few",
        stream(call(_RECONSTRUCT, found("victims", "Point"), found("builtins", "tuple"), b")")),
        CORRUPT,
    )
    yield (
        "enum_reconstructed",
        stream(call(_RECONSTRUCT, found("victims", "Choice"), found("builtins", "int"), number(99))),
        CORRUPT,
    )
    yield (
        "enum_bare",
        stream(call(_RECONSTRUCT, found("victims", "Colour"), found("builtins", "object"), NONE)),
        CORRUPT,
    )
    yield "enum_of_no_member", stream(call(found("victims", "Colour"), text("green"))), CORRUPT
    yield (
        "base_of_another_type",
        stream(call(_RECONSTRUCT, found("victims", "AList"), found("builtins", "list"), b")")),
        CORRUPT,
    )
    yield "address_beyond_its_range", stream(call(found("ipaddress", "IPv4Address"), number(1 << 32))), CORRUPT
    yield "range_of_no_step", stream(call(found("builtins", "range"), number(1), number(2), number(0))), CORRUPT
    yield (
        "zone_of_a_folder_above",
        stream(call(found("zoneinfo", "ZoneInfo._unpickle"), text("../../../etc/passwd"), b"\x88")),
        CORRUPT,
    )
    position = number(-(1 << 40)), number(1 - (1 << 40))
    for cls in (found("builtins", "UnicodeDecodeError"), found("victims", "ReadError")):
        body = call(cls, text("utf-8"), data(b"abc"), *position, text("x"))
        yield f"position_before_the_text_{len(cls)}", stream(body), CORRUPT  # str() of it would crash


def _arguments(family: str) -> Iterator[tuple | Stream]:
    huge = number(10**11)
    for name in ("bytes", "bytearray"):
        yield f"{name}_of_a_number", stream(call(found("builtins", name), huge)), CORRUPT
    for module, name in (("builtins", "set"), ("builtins", "frozenset"), ("collections", "deque"),
                         ("collections", "Counter"), ("collections", "OrderedDict")):  # fmt: skip
        yield f"{name}_of_a_range", stream(call(found(module, name), _RANGE)), CORRUPT
    yield "list_of_a_range", stream(call(found("builtins", "list"), _RANGE)), UNTRUSTED
    yield "sum_of_a_range", stream(call(found("builtins", "sum"), _RANGE)), UNTRUSTED
    yield "power", stream(call(found("builtins", "pow"), number(10**9), number(10**9))), UNTRUSTED
    for name in ("AList", "ATuple", "ASet", "SomeBytes"):
        yield f"{name}_of_a_range", stream(call(found("victims", name), _RANGE)), CORRUPT
    yield "ATuple_of_a_range_by_newobj", stream(new(found("victims", "ATuple"), _RANGE)), CORRUPT
    yield "SomeBytes_of_a_number", stream(call(found("victims", "SomeBytes"), huge)), CORRUPT
    yield "SomeBytes_of_a_number_by_newobj", stream(new_ex(found("victims", "SomeBytes"), tup(huge), b"}")), CORRUPT
    yield "SomeText_of_a_codec", stream(new(found("victims", "SomeText"), data(b"x" * 99), text("punycode"))), CORRUPT
    yield "group_of_a_range", stream(call(found("builtins", "ExceptionGroup"), text("x"), _RANGE)), CORRUPT
    yield "allowed_group_of_a_range", stream(call(found("victims", "ManyErrors"), text("x"), _RANGE)), CORRUPT
    yield (
        "arguments_of_an_exception",
        stream(build(call(found("builtins", "ValueError")), state(args=_RANGE))),
        CORRUPT,
    )
    yield "timedelta_of_a_number", stream(call(found("datetime", "timedelta"), number(10**300))), CORRUPT
    yield "exponent_of_a_fraction", stream(call(found("fractions", "Fraction"), text("1e999999999"))), CORRUPT
    yield Stream(
        family, "exponent_of_a_decimal", stream(call(found("decimal", "Decimal"), text("1e999999999"))), CONTAINED
    )
    yield "maximum_of_a_deque", stream(call(found("collections", "deque"), b")", number(-1))), CORRUPT
    yield Stream(family, "end_of_a_range", stream(call(found("builtins", "range"), number(10**300))), CONTAINED)
    yield "factory_that_is_no_type", stream(call(found("collections", "defaultdict"), _LEN)), REFUSED
    yield "codec_of_bytes", stream(call(found("_codecs", "encode"), text("x" * 99), text("punycode"))), CORRUPT
    yield "prefix_of_an_address", stream(lst(call(found("ipaddress", "IPv4Network"), text("1" * 5000)))), CORRUPT


_FAMILIES = {
    "tampering: monkey-patching": _patching, "tampering: __class__": _classes, "tampering: invariants": _invariants,
    "tampering: huge arguments": _arguments,
}  # fmt: skip
