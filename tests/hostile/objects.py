"""Streams that make of allowed classes, and of exceptions, more than data; and sound ones of the same shape."""

from __future__ import annotations

import collections
import datetime
import decimal
import fractions
import pickle
import sys
import traceback
from collections.abc import Iterator
from typing import Any

import victims

from assembler import (  # isort: skip
    CONTAINED, CORRUPT, LOADS, NONE, REFUSED, Stream, aside, build, call, data, dct, found, get, keep, lst, new,
    new_ex, number, state, stream, text, tup,
)
from exhaustion import MODULUS, probing

FAR = -(2**44)


def streams() -> Iterator[Stream]:
    for family, make in _FAMILIES.items():
        for name, body, *rest in make():
            expect = next((item for item in rest if isinstance(item, frozenset)), CORRUPT)
            yield Stream(
                family, name, body, expect, heavy="heavy" in rest, check=_shown,
                executes="executes" in rest and sys.version_info >= (3, 12),
            )  # fmt: skip


def _shown(value: Any) -> bool:
    """Showing an exception is what does the harm."""
    for one in value if isinstance(value, tuple) else (value,):
        if isinstance(one, BaseException):
            "".join(traceback.format_exception(one))
    return True


def _victim(name: str) -> bytes:
    return found("victims", name)


def _error(name: str, *args: bytes) -> bytes:
    return call(found("builtins", name), *args)


_NETWORK = call(found("ipaddress", "IPv4Network"), text("0.0.0.0/0"))
_NETWORK_6 = call(found("ipaddress", "IPv6Network"), text("::/0"))
_RANGE = call(found("builtins", "range"), number(0), number(10**8))


# -- what may be done to an instance


def _methods() -> Iterator[tuple]:
    fill = {"append": _RANGE + b"a", "extend": b"(" + _RANGE + b"e"}
    for name in ("append", "extend", "add", "update", "__setitem__", "__setstate__"):
        attribute = build(new(_victim("Plain")), dct(text(name), found("builtins", "list")))
        yield f"{name}_is_a_class", stream(attribute + fill.get(name, b"NNs"))
        slots = build(new(_victim("Plain")), tup(NONE, dct(text(name), found("builtins", "list"))))
        yield f"{name}_in_the_state_of_slots", stream(slots + fill.get(name, b""))
    for name in ("append", "extend"):
        shadowed = build(new(_victim("AList")), dct(text(name), NONE))
        yield f"{name}_of_a_list", stream(shadowed + NONE + b"a")
    slot = build(new(_victim("Collecting")), tup(NONE, dct(text("append"), found("builtins", "len"))))
    yield "append_is_a_slot", stream(slot + NONE + b"a")
    yield "append_is_a_slot_that_no_method_is_in", stream(
        build(new(_victim("Collecting")), tup(NONE, dct(text("append"), NONE))) + NONE + b"a"
    )


def _members() -> Iterator[tuple]:
    """Fields of types in C, by the state of slots: a negative position reads memory before the text."""
    one = call(found("_codecs", "encode"), text("x"), text("latin1"))
    places = dct(text("object"), one, text("start"), number(FAR), text("end"), number(FAR + 1),
                 text("encoding"), text("ascii"), text("reason"), text("r"))  # fmt: skip
    yield "UnicodeDecodeError", stream(build(new(_victim("ReadError")), tup(NONE, places)))
    yield "UnicodeDecodeError_by_attributes", stream(build(new(_victim("ReadError")), places)), CONTAINED
    for cls, name in (("NoModule", "name_from"), ("NoModule", "msg"), ("NoSyntax", "end_offset"), ("AnError", "args")):
        yield f"{name}_of_{cls}", stream(build(new(_victim(cls)), tup(NONE, dct(text(name), number(5)))))
    yield "class_of_an_object", stream(
        build(new(_victim("Plain")), tup(NONE, dct(text("__class__"), _victim("AList"))))
    ), REFUSED  # fmt: skip
    yield "dict_of_an_object", stream(build(new(_victim("Plain")), tup(NONE, dct(text("__dict__"), b"}"))))


def _properties() -> Iterator[tuple]:
    for name in ("name", "args"):
        given = dct(text(name), tup(NONE))
        yield f"{name}_of_an_error", stream(build(new(_victim("GuardedError")), given)), CONTAINED
        yield f"{name}_of_an_error_as_a_slot", stream(build(new(_victim("GuardedError")), tup(NONE, given)))
    given = state(attribute=number(1))
    yield "of_an_object", stream(build(new(_victim("Guarded")), given)), CONTAINED
    yield "of_an_object_as_a_slot", stream(build(new(_victim("Guarded")), tup(NONE, given)))
    yield "append", stream(new(_victim("Lazy")) + NONE + b"a")
    yield "extend", stream(new(_victim("Lazy")) + b"(NNe")


# -- what allowed classes are made of


def _constructors() -> Iterator[tuple]:
    for kind in ("AList", "ASet", "ATuple", "AFrozenSet", "Rows"):
        for name, given in (("network", _NETWORK), ("network_of_ipv6", _NETWORK_6), ("range", _RANGE)):
            yield f"{kind}_of_a_{name}", stream(call(_victim(kind), given))
        yield f"{kind}_of_an_object", stream(call(_victim(kind), new(_victim("Plain")))), REFUSED
    for kind in ("ATuple", "AFrozenSet"):
        yield f"{kind}_of_a_network_by_new", stream(new(_victim(kind), _NETWORK))
    for kind in ("SomeBytes", "AByteArray"):
        yield f"{kind}_of_a_network", stream(call(_victim(kind), _NETWORK))
        yield f"{kind}_of_zeros", stream(call(_victim(kind), number(10**10)))
        for codec in ("punycode", "idna", "unicode_escape"):
            yield f"{kind}_by_{codec}", stream(call(_victim(kind), text("\u00fc" * 100_000), text(codec)))
    yield "text_by_punycode", stream(call(_victim("SomeText"), data(b"a-" * 100_000), text("punycode")))
    yield "text_of_a_tower", stream(call(_victim("SomeText"), _tower(30)))
    yield "dict_of_a_range_of_pairs", stream(call(_victim("ADict"), _NETWORK))
    yield "factory_of_a_function", stream(call(_victim("ADefault"), found("builtins", "len")))
    yield "two_arguments", stream(call(_victim("AList"), lst(), lst()))
    yield "names", stream(new_ex(_victim("ATuple"), b")", dct(text("iterable"), _NETWORK)))
    yield "moment_of_day_0", stream(call(_victim("Moment"), data(b"\x07\xe8\x01\x00\0\0\0\0\0\0")))
    yield "enum_by_a_tower", stream(call(_victim("Colour"), _tower(30)))
    yield "flag_of_many_bits", stream(call(_victim("Access"), number(1 << 500_000)))
    yield "flag_of_a_text", stream(call(_victim("Access"), text("x")))
    yield "many_elements", stream(
        aside(0, _victim("ATuple")), aside(1, text("\u20ac" * 100_000)), b"(", (get(0) + get(1) + b"\x85\x81") * 200, b"t"
    ), "heavy"  # fmt: skip


def _numbers() -> Iterator[tuple]:
    power = call(found("decimal", "Decimal"), text("1E9999999"))
    for kind in ("AFraction", "Ratio"):
        yield f"{kind}_of_a_power", stream(call(_victim(kind), text("1e99999999")))
        yield f"{kind}_of_a_negative_power", stream(call(_victim(kind), text("1e-99999999")))
        yield f"{kind}_of_a_decimal", stream(call(_victim(kind), power))
        yield f"{kind}_of_digits", stream(call(_victim(kind), text("9" * 1_000_000 + "/7")))
    yield "int_of_a_decimal", stream(call(_victim("AnInt"), power))
    yield "int_of_a_decimal_by_new", stream(new(_victim("AnInt"), power))
    yield "int_of_digits", stream(new(_victim("AnInt"), text("9" * 4000)))
    yield "decimal_of_digits", stream(call(_victim("ADecimal"), text("9" * 1_000_000)))


def _collisions() -> Iterator[tuple]:
    many = [number(index * MODULUS) for index in range(1, 30_000)]
    numbers = aside(9, lst(*many))
    table = aside(9, dct(*(key + NONE for key in many[:200])))
    for kind in ("ASet", "AFrozenSet"):
        yield f"integers_in_{kind}", stream(numbers, call(_victim(kind), get(9)))
    for kind in ("ADict", "ACounter"):
        yield f"integers_in_{kind}", stream(new(_victim(kind)), b"(", *(key + NONE for key in many), b"u")
        yield f"dicts_of_integers_for_{kind}", stream(
            table, aside(8, _victim(kind)), b"(", (get(8) + get(9) + b"\x85R") * 4000, b"t"
        ), "heavy"  # fmt: skip
    alike = [number(key) for key in probing(15)]
    for kind in ("ADict", "ACounter"):
        items = [key + NONE for key in alike]
        yield f"integers_that_probe_alike_in_{kind}", stream(new(_victim(kind)), b"(", *items, b"u"), CONTAINED, "heavy"
        yield f"dict_of_integers_that_probe_alike_for_{kind}", stream(
            call(_victim(kind), dct(*items))
        ), CONTAINED, "heavy"  # fmt: skip


# -- exceptions


def _exceptions() -> Iterator[tuple]:
    wrong = state(name=text("side_effect"), name_from=text("innocent"))
    for name, made in (("error", _error("ImportError", text("m"))), ("error_of_the_program", new(_victim("NoModule")))):
        yield f"import_by_an_{name}", stream(build(made, wrong)), LOADS, "executes"
    for name, place in (
        ("end_offset", (number(1), number(1), text("a"), number(1), number(10**10))),
        ("offset", (number(1), number(10**10), text("a"), number(1), number(10**10 + 1))),
        ("two_offsets", (number(1), number(-(10**10)), text("a"), number(1), number(10**10))),
        ("line", (number(10**4500), number(1), text("a"), number(1), number(2))),
    ):
        for kind in (found("builtins", "SyntaxError"), _victim("NoSyntax")):
            which = "program" if b"victims" in kind else "python"
            made = call(kind, text("m"), tup(text("f"), *place))
            yield f"{name}_of_a_syntax_error_of_{which}", stream(made), CONTAINED
    by_state = build(_error("SyntaxError", text("m"), tup(text("f"), number(1), number(1), text("a"))),
                     state(end_offset=number(10**10), offset=number(1)))  # fmt: skip
    yield "end_offset_by_state", stream(by_state), CONTAINED
    yield "notes_without_end", stream(build(_error("ValueError", text("x")), dct(text("__notes__"), _RANGE))), CONTAINED
    yield "notes_that_unfold", stream(build(_error("ValueError", text("x")), dct(text("__notes__"), lst(_tower(40)))))
    yield "arguments_that_unfold", stream(_error("ValueError", _tower(40)))
    yield "number_that_is_a_tower", stream(_error("OSError", _tuples(40), text("x")))
    yield "name_that_is_a_tower", stream(build(_error("NameError", text("x")), state(name=_tuples(40))))
    yield "group_of_groups", stream(
        aside(0, found("builtins", "ExceptionGroup")), _error("ValueError", text("x")),
        (keep(1) + b"0" + get(0) + text("m") + lst(get(1), get(1)) + b"\x86R") * 40,
    )  # fmt: skip
    yield "object_of_an_attribute_error", stream(
        build(_error("AttributeError", text("x")), state(name=text("a"), obj=new(_victim("Plain"))))
    ), LOADS  # fmt: skip


# -- memory and time


def _arguments() -> Iterator[tuple]:
    many = b"(" + b"K\x01" * 100_000 + b"t"
    for name, kind in (("exception", found("builtins", "ValueError")), ("class", _victim("AnError"))):
        yield f"{name}_of_many", stream(aside(0, kind), aside(1, many), b"](", (get(0) + get(1) + b"R") * 800, b"e")
    yield "class_of_many_by_new", stream(
        aside(0, _victim("AnError")), aside(1, many), b"](", (get(0) + get(1) + b"\x81") * 800, b"e"
    )
    for count in (1, 20):
        path = aside(0, found("pathlib", "PurePosixPath")), aside(1, b"(" + b"\x8c\x00" * 1_000_000 + b"t")
        yield f"path_of_a_million_parts_{count}_times", stream(*path, b"](", (get(0) + get(1) + b"R") * count, b"e")
    named = b"}(" + b"".join(text(f"a{index}") + NONE for index in range(20_000)) + b"u"
    yield "many_names", stream(
        aside(0, _victim("Plain")), aside(1, named), b"](", (get(0) + b")" + get(1) + b"\x92") * 1000, b"e"
    ), REFUSED  # fmt: skip
    yield "states_of_many", stream(
        aside(0, _victim("Plain")), aside(1, named), b"](", (get(0) + b")\x81" + get(1) + b"b") * 1000, b"e"
    )


def _tower(levels: int) -> bytes:
    """A list of itself twice, so often."""
    return b"]" + (keep(200) + b"0](" + get(200) + get(200) + b"e") * levels


def _tuples(levels: int) -> bytes:
    return number(1) + (keep(201) + get(201) + b"\x86") * levels


def _shared() -> Iterator[tuple]:
    yield "lists", stream(_tower(40))
    yield "tuples", stream(_tuples(60))
    yield "dicts", stream(b"}" + (keep(1) + b"0}(" + text("a") + get(1) + text("b") + get(1) + b"u") * 40)
    yield "deques", stream(aside(0, found("collections", "deque")), b"]",
                           (keep(1) + b"0" + get(0) + b")R(" + get(1) + get(1) + b"e") * 40)  # fmt: skip
    yield "frozensets", stream(number(1), *((keep(1) + b"0(" + get(1) + get(1) + b"\x86" + get(1) + b"\x91") for _ in range(60)))
    yield "lists_of_the_program", stream(
        aside(0, _victim("AList")), b"]", (keep(1) + b"0" + get(0) + b")\x81(" + get(1) + get(1) + b"e") * 40
    )
    yield "duplicates", stream(_tower(0), b"K\x01a", (b"2\x86") * 60)
    large = aside(1, text("x" * 1_000_000))
    yield "texts", stream(large, b"](", get(1) * 1_000_000, b"e"), "heavy"
    yield "in_an_attribute", stream(build(new(_victim("Plain")), state(a=_tower(40)))), CONTAINED


def _names() -> Iterator[tuple]:
    for name, parts in (("module", ("a." * 100_000 + "b", "c")), ("class", ("victims", "a." * 100_000 + "b")),
                        ("both", ("a" * 500, "b" * 500)), ("dots", (".", "." * 2_000_000))):  # fmt: skip
        yield f"long_{name}", stream(found(*parts))
        yield f"long_{name}_in_a_line", f"c{parts[0]}\n{parts[1]}\n.".encode()
    outer = aside(0, found("builtins", "getattr"))
    yield "long_attribute", stream(outer, get(0), tup(_victim("Plain"), text("a." * 100_000 + "b")), b"R"), REFUSED
    pair = aside(0, text("builtins")), aside(1, text("len"))
    yield "many_times", stream(*pair, (get(0) + get(1) + b"\x930") * 500_000, NONE), CONTAINED, "heavy"


_FAMILIES = {
    "objects: methods": _methods, "objects: members": _members, "objects: properties": _properties,
    "objects: constructors": _constructors, "objects: numbers": _numbers, "objects: collisions": _collisions,
    "objects: exceptions": _exceptions, "memory: arguments": _arguments, "memory: shared structure": _shared,
    "time: names": _names,
}  # fmt: skip


# -- what loads


def controls() -> Iterator[Stream]:
    for index, (family, name, value) in enumerate(_values()):
        for protocol in (2 + index % 2, 5):
            body = pickle.dumps(value, protocol)
            yield Stream(
                family, f"{name} {protocol}", body, LOADS,
                check=lambda found, value=value: _described(found) == _described(value),
            )  # fmt: skip


def _described(value: Any) -> Any:
    """Types, attributes and what is shown, which for exceptions tells more than equality."""
    if isinstance(value, BaseException):
        return type(value), _described(value.args), vars(value), "".join(traceback.format_exception(value))
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return [_described(item) for item in value]
    return type(value), getattr(value, "__dict__", None), repr(value)


def _values() -> Iterator[tuple[str, str, Any]]:
    plain = victims.Plain()
    plain.__dict__.update(add=1, update=False, extend="text", append=None)
    yield "objects: methods", "attributes of such names that are no methods", [_only_state(plain)]
    yield "objects: methods", "list with attributes", _with(victims.AList([1, [2]]), note="n")
    slotted = victims.Slotted()
    slotted.here = [1]
    yield "objects: members", "slot", [slotted.here]
    yield "objects: members", "error of reading", victims.ReadError("ascii", b"\xff", 0, 1, "no")
    yield "objects: properties", "error with notes", _noted(victims.AnError("x", 1))
    for name, value in (
        ("list", victims.AList("ab")), ("tuple", victims.ATuple([1, (2,)])), ("set", victims.ASet({1, 2})),
        ("frozenset", victims.AFrozenSet([3])), ("dict", victims.ADict(a=1)), ("counter", victims.ACounter("aab")),
        ("default", victims.ADefault(list, {"a": [1]})), ("bytes", victims.SomeBytes(b"\xff")),
        ("bytearray", victims.AByteArray(b"\xff")), ("text", victims.SomeText("é")), ("rows", victims.Rows([1, 2])),
        ("moment", victims.Moment(2024, 2, 29, 1, tzinfo=datetime.UTC)), ("enum", victims.Colour.RED),
        ("flags", victims.Access.READ | victims.Access.WRITE), ("unknown flag", victims.Access(1 << 40)),
    ):  # fmt: skip
        yield "objects: constructors", name, value
    for name, value in (
        ("int", victims.AnInt(2**70)), ("decimal", victims.ADecimal("1E+9999")), ("power", decimal.Decimal("1E+999999")),
        ("fraction", victims.AFraction(1, 3)), ("large", victims.AFraction(10**300, 7)),
    ):  # fmt: skip
        yield "objects: numbers", name, value
    yield "objects: collisions", "counter of many", victims.ACounter({index * 2**33: 1 for index in range(15_000)})
    yield "objects: collisions", "set of many", len(victims.ASet(range(15_000)))
    yield "objects: exceptions", "import", ImportError("m", name="a", path="b")
    yield "objects: exceptions", "syntax", SyntaxError("m", ("f", 3, 5, "a = = 1\n", 3, 6))
    yield "objects: exceptions", "syntax of the program", victims.NoSyntax("m", ("f", 3, None, None))
    yield "objects: exceptions", "group", victims.ManyErrors("two", [ValueError(1), KeyError("k")])
    yield "objects: exceptions", "file", FileNotFoundError(2, "no", "x")
    yield "memory: arguments", "many", ValueError(*range(10_000))
    shared = [1, 2]
    yield "memory: shared structure", "rows", [shared] * 1000
    yield "memory: shared structure", "small tower", _folded(12)
    yield "time: names", "nested class", collections.Counter(a=1)
    yield "time: names", "fraction", [fractions.Fraction(1, 3)] * 3


def _only_state(plain: Any) -> Any:
    return plain.__dict__


def _with(value: Any, **attributes: Any) -> Any:
    value.__dict__.update(attributes)
    return value


def _noted(error: BaseException) -> BaseException:
    error.add_note("seen")
    return error


def _folded(levels: int) -> Any:
    made: Any = 1
    for _ in range(levels):
        made = [made, made]
    return made
