"""Legitimate values of each family's shape: the streams that must still load, with the right value."""

from __future__ import annotations

import collections
import datetime
import decimal
import fractions
import ipaddress
import pathlib
import pickle
import uuid
import zoneinfo
from collections.abc import Callable, Iterator
from typing import Any

import victims
from assembler import LOADS, Stream, aside, data, found, get, number, stream, text


def streams() -> Iterator[Stream]:
    """Every control at a protocol of its own, so that all are met."""
    for index, (family, name, value) in enumerate(_values()):
        protocol = index % 6
        yield Stream(family, name, lambda value=value, protocol=protocol: pickle.dumps(value, protocol), LOADS,
                     check=lambda found, value=value: alike(found, value))  # fmt: skip
    for family, name, body, check in _written_by_hand():
        yield Stream(family, name, body, LOADS, check=check)


def alike(one: Any, other: Any) -> bool:
    """Equal, and of one type."""
    return type(one) is type(other) and (one == other or repr(one) == repr(other))


def _plain(**attributes: Any) -> victims.Plain:
    made = victims.Plain()
    made.__dict__.update(attributes)
    return made


class _SameState:
    """Equal to an instance with the same attributes."""

    def __init__(self, made: Any) -> None:
        self.expected = made.__dict__

    def __call__(self, found: Any) -> bool:
        return type(found) is victims.Plain and found.__dict__ == self.expected


def _values() -> Iterator[tuple[str, str, Any]]:
    moment = datetime.datetime(2024, 2, 29, 12, 30, 1, 5, datetime.timezone(datetime.timedelta(hours=2), "X"), fold=1)
    yield "execution: REDUCE", "decimal", decimal.Decimal("-1.50")
    yield "execution: REDUCE", "path", pathlib.PurePosixPath("/srv/data/x.bin")
    yield "execution: REDUCE", "address", ipaddress.ip_interface("2001:db8::1/64")
    yield "execution: NEWOBJ", "list_of_the_program", victims.AList([1, [2]])
    yield "execution: NEWOBJ", "namedtuple", victims.Point(1, "y")
    yield "execution: copyreg", "dict_of_the_program", victims.ADict(a=1)
    yield "execution: dotted names", "function", len
    yield "execution: dotted names", "zone", zoneinfo.ZoneInfo("Europe/Berlin")
    yield "execution: getattr", "nested_class", [victims.Plain.Inner, victims.Plain.Inner]
    yield "execution: STACK_GLOBAL", "types", [int, str, collections.OrderedDict, victims.Plain]
    yield "execution: globals as values", "builtins", [len, sorted, int, Ellipsis, NotImplemented, type(None)]
    yield "execution: imports", "late_modules", [uuid.UUID(int=7), fractions.Fraction(-3, 7)]
    yield "execution: nested pickles", "pickle_as_bytes", pickle.dumps({"a": [1]})
    yield "tampering: monkey-patching", "member_of_an_enum", [victims.Colour.RED, victims.Choice.TWO]
    yield "tampering: invariants", "dates", [moment, moment.date(), moment.timetz(), moment - moment]
    yield "tampering: invariants", "fraction", fractions.Fraction(-(3**80), 7**60)
    yield "tampering: invariants", "uuid", [uuid.UUID(int=0), uuid.UUID(int=(1 << 128) - 1)]
    yield "tampering: huge arguments", "range", range(10**20, -(10**20), -3)
    yield (
        "tampering: huge arguments",
        "group",
        victims.ManyErrors("two", [ValueError(1), KeyError("k")]).exceptions[1].args,
    )
    yield "tampering: huge arguments", "collections", [
        collections.deque([1, 2], 5), collections.Counter("aab"), collections.defaultdict(list, {"a": [1]}),
    ]  # fmt: skip
    yield "memory: memo", "shared_values", [list("ab") * 300, {"a": "ab"}]
    yield "memory: lengths", "long_values", ["x" * 70_000, b"y" * 70_000, bytearray(b"z" * 300), 1 << 5000]
    yield "memory: floods", "many_containers", [[[], {}, set(), (), frozenset()] for _ in range(3000)]
    yield "time: towers", "nested_keys", {((1, 2), (3, ("a", frozenset({4})))): "value", frozenset({(1,), (2,)}): 2}
    yield "time: towers", "one_key_in_many_frozensets", [frozenset({1.5, (1, 2), index}) for index in range(600)]
    yield "time: collisions", "many_keys", {index * 2**33: float(index) for index in range(20_000)}
    yield "time: collisions", "keys_of_one_hash", {1, fractions.Fraction(1 + 2**61 - 1), -1, -2, 2.0**61}
    yield "time: digits", "large_numbers", [10**4000, -(2**12_000), decimal.Decimal("7" * 5000), 1e308, float("-inf")]
    yield "time: appends", "long_list", list(range(30_000))
    yield "depth: keys", "tuple", {_nested(lambda inner: (inner,), 50): 1}
    yield "depth: containers", "lists", _nested(lambda inner: [inner], 200)
    yield (
        "depth: containers",
        "default_dicts",
        _nested(lambda inner: collections.defaultdict(dict, {"in": inner}), 60),
    )
    yield "depth: marks", "tuples_of_four", _nested(lambda inner: (inner, 1, 2, 3), 40)
    yield "malformed: underflow", "empty_values", [(), [], {}, set(), frozenset(), "", b"", 0, None]
    yield "malformed: ends", "no_value_but_none", None
    yield "malformed: frames", "several_frames", [f"text {index} " * 20 for index in range(2000)]
    yield "malformed: encodings", "texts", ["\ud800", "\0\n\\u0041'\"", "é€😀", b"\xff\n\\x"]
    yield "malformed: keys", "of_every_kind", {None: 1, True: 2, 1.5: 3, "a": 4, b"a": 5, (): 6, int: 7, moment: 8}
    yield "malformed: targets", "ordered_dict", collections.OrderedDict(b=1, a=2)


def _nested(wrap: Callable[[Any], Any], levels: int) -> Any:
    made: Any = 1
    for _ in range(levels):
        made = wrap(made)
    return made


def _written_by_hand() -> Iterator[tuple[str, str, Any, Callable[[Any], bool]]]:
    plain = _plain(a=1, b=[2])
    for family, protocol in (("execution: BUILD", 2), ("tampering: __class__", 4), ("execution: copyreg", 1),
                             ("execution: NEWOBJ_EX", 5), ("execution: OBJ", 0)):  # fmt: skip
        yield family, "object", pickle.dumps(plain, protocol), _SameState(plain)
    yield "execution: BUILD", "slots", pickle.dumps(_slotted(), 2), lambda value: value.here == [1]
    yield "execution: BUILD", "note_on_an_error", pickle.dumps(_noted()), lambda value: value.__notes__ == ["seen"]
    yield (
        "execution: partial",
        "default_factory",
        (pickle.dumps(collections.defaultdict(victims.Plain))),
        lambda value: type(value["new"]) is victims.Plain,
    )
    yield (
        "execution: old names",
        "python_2",
        (b"(dp0\nS'a'\np1\nccollections\nOrderedDict\np2\n((lp3\n(lp4\nS'k'\np5\naI1\naatp6\nRp7\ns."),
        lambda value: value == {"a": collections.OrderedDict(k=1)},
    )
    yield (
        "execution: old names",
        "set_and_range",
        (b"\x80\x02(c__builtin__\nset\n](K\x01K\x02e\x85Rc__builtin__\nxrange\nK\x03\x85Rt."),
        lambda value: value == ({1, 2}, range(3)),
    )
    yield (
        "execution: INST",
        "text_that_looks_like_it",
        b"V(ios\\u005csystem\n.",
        lambda value: value == "(ios\\system",
    )
    yield "execution: extension codes", "number_of_the_same_byte", stream(b"K\x82"), lambda value: value == 0x82
    yield (
        "execution: STACK_GLOBAL",
        "names_from_the_memo",
        stream(aside(0, text("collections")), aside(1, text("OrderedDict")), get(0), get(1), b"\x93)R"),
        lambda value: value == collections.OrderedDict(),
    )
    yield "malformed: self-containing", "list", pickle.dumps(_selfish()), lambda value: value[0] is value
    yield "malformed: trailing bytes", "none", stream(data(b"x" * 300)), lambda value: value == b"x" * 300
    yield (
        "memory: memo",
        "index_that_starts_late",
        stream(b"]", b"r\x00\x01\x00\x00", number(1), b"a"),
        lambda value: value == [1],
    )
    yield (
        "tampering: __class__",
        "class_as_a_value",
        (stream(b"]", found("victims", "Plain"), b"a")),
        lambda value: value == [victims.Plain],
    )


def _slotted() -> victims.Slotted:
    made = victims.Slotted()
    made.here = [1]
    return made


def _noted() -> victims.AnError:
    made = victims.AnError("x")
    made.add_note("seen")
    return made


def _selfish() -> list[Any]:
    made: list[Any] = []
    made.append(made)
    return made
