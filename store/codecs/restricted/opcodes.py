"""The opcodes of the restricted decoder, by code; the comments give their names in pickletools.

Plain data needs no other opcodes. https://docs.python.org/3/library/pickletools.html

One file because it is one table: a short function for each opcode, grouped as in pickletools, with shared helpers.
"""

from __future__ import annotations

import codecs
import math
import struct
from collections.abc import Callable
from typing import Any

from store.codecs.refusals import refusal, refused
from store.codecs.restricted.stack import Stack, Unbuilt
from store.errors import Corrupt

MAX_MARKS = 100_000
_LARGE = 1000  # characters of a text
_DIGITS = 4300  # of a decimal integer: Python's own default limit

Step = Callable[[Stack], None]


def _unknown(s: Stack) -> None:
    raise Corrupt("it has an opcode that plain data does not need")


STEPS: list[Step] = [_unknown] * 256
COSTS = [8] * 256  # memory that the opcode itself causes, in addition to its argument


def _opcode(code: int, cost: int = 8) -> Callable[[Step], Step]:
    def register(step: Step) -> Step:
        STEPS[code] = step
        COSTS[code] = cost
        return step

    return register


def _pushes(code: int, cost: int, make: Callable[[Stack], Any]) -> None:
    """Register an opcode that pushes one value."""

    def step(s: Stack) -> None:
        value = make(s)  # first: it may pop a mark, which restores the items before it
        s.items.append(value)

    _opcode(code, cost)(step)


_pushes(0x4E, 8, lambda s: None)  # NONE
_pushes(0x88, 8, lambda s: True)  # NEWTRUE
_pushes(0x89, 8, lambda s: False)  # NEWFALSE
_pushes(0x29, 8, lambda s: ())  # EMPTY_TUPLE
_opcode(0x95)(lambda s: s.reader.frame(s.reader.number(8)))  # FRAME


@_opcode(0x80)
def _proto(s: Stack) -> None:
    s.objects.names.protocol = found = s.reader.take(1)[0]
    if found > 5:
        raise Corrupt(f"its pickle protocol is {found}, and this program knows 0 to 5")


# numbers


def _signed(data: bytes) -> int:
    return int.from_bytes(data, "little", signed=True)


def _int(s: Stack) -> int:
    line = s.reader.line()
    return line == b"01" if line in (b"00", b"01") else _decimal(line)


def _decimal(line: bytes) -> int:
    digits = line[1:] if line[:1] == b"-" else line
    if not digits.isdigit() or len(digits) > _DIGITS:
        raise Corrupt("a number in it is not a decimal integer of up to 4,300 digits")
    if digits[:1] == b"0" and line != b"0":  # the C unpickler reads these as octal, and -0 as False
        raise Corrupt("a number in it begins with a zero")
    return int(line)


def _float(s: Stack) -> float:
    line = s.reader.line()
    value = float(line)
    if b"_" in line or line != line.strip() or (math.isinf(value) and b"n" not in line.lower()):
        raise Corrupt("a number in it is not a float as pickle writes it")
    return value


def _long_data(s: Stack, what: str) -> bytes:
    """Bytes that follow their length, a signed number of four bytes."""
    size = _signed(s.reader.take(4))
    if size < 0:
        raise Corrupt(f"a {what} in it has a negative length")
    return s.reader.take(size)


_pushes(0x4A, 32, lambda s: _signed(s.reader.take(4)))  # BININT
_pushes(0x4B, 8, lambda s: s.reader.take(1)[0])  # BININT1
_pushes(0x4D, 32, lambda s: s.reader.number(2))  # BININT2
_pushes(0x49, 32, _int)  # INT
_pushes(0x4C, 32, lambda s: _decimal(s.reader.line().removesuffix(b"L")))  # LONG
_pushes(0x8A, 32, lambda s: _signed(s.reader.take(s.reader.take(1)[0])))  # LONG1
_pushes(0x8B, 32, lambda s: _signed(_long_data(s, "number")))  # LONG4
_pushes(0x46, 32, _float)  # FLOAT
_pushes(0x47, 32, lambda s: struct.unpack(">d", s.reader.take(8))[0])  # BINFLOAT


# text and bytes


def _sized(s: Stack, width: int) -> bytes:
    return s.reader.take(s.reader.number(width))


def _text(data: bytes) -> str:
    return str(data, "utf-8", "surrogatepass")


def _old_text(s: Stack, data: bytes) -> Any:
    """A Python 2 `str`."""
    return data if s.encoding == "bytes" else data.decode(s.encoding, s.errors)


def _quoted(s: Stack) -> Any:
    line = s.reader.line()
    if len(line) < 2 or line[0] != line[-1] or line[0] not in b"\"'":
        raise Corrupt("a text in it has no quotes")
    return _old_text(s, codecs.escape_decode(line[1:-1])[0])


_pushes(0x8C, 64, lambda s: _text(_sized(s, 1)))  # SHORT_BINUNICODE
_pushes(0x58, 64, lambda s: _text(_sized(s, 4)))  # BINUNICODE
_pushes(0x8D, 64, lambda s: _text(_sized(s, 8)))  # BINUNICODE8
_pushes(0x43, 64, lambda s: _sized(s, 1))  # SHORT_BINBYTES
_pushes(0x42, 64, lambda s: _sized(s, 4))  # BINBYTES
_pushes(0x8E, 64, lambda s: _sized(s, 8))  # BINBYTES8
_pushes(0x96, 64, lambda s: bytearray(_sized(s, 8)))  # BYTEARRAY8
_pushes(0x55, 64, lambda s: _old_text(s, _sized(s, 1)))  # SHORT_BINSTRING
_pushes(0x54, 64, lambda s: _old_text(s, _long_data(s, "text")))  # BINSTRING
_pushes(0x53, 64, _quoted)  # STRING
_pushes(0x56, 64, lambda s: str(s.reader.line(), "raw-unicode-escape"))  # UNICODE
_pushes(0x97, 8, lambda s: s.next_buffer())  # NEXT_BUFFER


@_opcode(0x98)
def _readonly_buffer(s: Stack) -> None:
    with memoryview(s.items[-1]) as view:
        if not view.readonly:
            s.make_readonly(view.toreadonly())


# containers


def _list(s: Stack) -> list[Any]:
    items = s.pop_mark()
    s.budget.nest(items, items)
    return items


def _dict(s: Stack) -> dict[Any, Any]:
    items = s.pop_mark()
    made: dict[Any, Any] = {}
    s.budget.charge(48 * len(items))
    s.filling.fill_dict(made, items)
    return made


def _tuple(s: Stack, items: list[Any]) -> tuple[Any, ...]:
    made = tuple(items)
    s.budget.charge(8 * len(made))
    s.budget.track(made)
    s.budget.nest(made, made)
    return made


def _short_tuple(s: Stack, size: int) -> tuple[Any, ...]:
    if len(s.items) < size:
        raise IndexError
    items = s.items[-size:]
    del s.items[-size:]
    return _tuple(s, items)


def _frozenset(s: Stack) -> frozenset[Any]:
    made: frozenset[Any] = s.objects.make_frozenset(s.pop_mark())
    s.budget.charge(64 * len(made))
    s.budget.track(made)
    s.budget.nest(made, made)
    return made


_pushes(0x5D, 64, lambda s: [])  # EMPTY_LIST
_pushes(0x7D, 72, lambda s: {})  # EMPTY_DICT
_pushes(0x8F, 224, lambda s: set())  # EMPTY_SET
_pushes(0x6C, 64, _list)  # LIST
_pushes(0x64, 72, _dict)  # DICT
_pushes(0x74, 56, lambda s: _tuple(s, s.pop_mark()))  # TUPLE
_pushes(0x85, 48, lambda s: _short_tuple(s, 1))  # TUPLE1
_pushes(0x86, 56, lambda s: _short_tuple(s, 2))  # TUPLE2
_pushes(0x87, 64, lambda s: _short_tuple(s, 3))  # TUPLE3
_pushes(0x91, 224, _frozenset)  # FROZENSET


@_opcode(0x28, 72)
def _mark(s: Stack) -> None:
    if len(s.marks) >= MAX_MARKS:
        raise Corrupt(f"it has more than {MAX_MARKS} marks open")
    s.marks.append(s.items)
    s.items = []


@_opcode(0x61, 16)
def _append(s: Stack) -> None:
    item = s.items.pop()
    s.filling.fill_list(s.items[-1], [item])


@_opcode(0x65)
def _appends(s: Stack) -> None:
    items = s.pop_mark()
    s.budget.charge(8 * len(items))
    s.filling.fill_list(s.items[-1], items)


@_opcode(0x73, 96)
def _setitem(s: Stack) -> None:
    value, key = s.items.pop(), s.items.pop()
    s.filling.fill_dict(s.items[-1], [key, value])


@_opcode(0x75, 96)
def _setitems(s: Stack) -> None:
    items = s.pop_mark()
    s.budget.charge(48 * len(items))
    s.filling.fill_dict(s.items[-1], items)


@_opcode(0x90)
def _additems(s: Stack) -> None:
    items = s.pop_mark()
    target = s.items[-1]
    if type(target) is not set:
        raise Corrupt("it adds items to an object that is not a set")
    s.budget.charge(64 * len(items))
    s.filling.fill_set(target, items)


# stack and memo


@_opcode(0x30)
def _pop(s: Stack) -> None:
    if s.items:
        s.items.pop()
    else:
        s.pop_mark()


def _put(s: Stack, index: int) -> None:
    if not 0 <= index <= len(s.memo) + 65_536:  # picklers number consecutively; chosen integers could collide
        raise Corrupt("a memo index in it is out of all proportion")
    value = s.memo[index] = s.items[-1]
    if type(value) is Unbuilt:
        value.places.append(index)


def _get(s: Stack, index: int) -> Any:
    if index not in s.memo:
        raise Corrupt("it refers to a memo that it has not made")
    return _usable(s, s.memo[index])


def _usable(s: Stack, value: Any) -> Any:
    """A value that is pushed again; notes that a large value is then shared."""
    kind = type(value)
    if kind is type or (kind is str and len(value) < _LARGE):
        return value
    s.is_shared = True
    if type(value) is Unbuilt:
        raise Corrupt("it refers to an object that has not got its state yet")
    return value


_opcode(0x31)(lambda s: s.pop_mark().clear())  # POP_MARK
_opcode(0x71, 112)(lambda s: _put(s, s.reader.take(1)[0]))  # BINPUT
_opcode(0x72, 112)(lambda s: _put(s, s.reader.number(4)))  # LONG_BINPUT
_opcode(0x70, 112)(lambda s: _put(s, _decimal(s.reader.line())))  # PUT
_opcode(0x94, 112)(lambda s: _put(s, len(s.memo)))  # MEMOIZE
_pushes(0x32, 8, lambda s: _usable(s, s.items[-1]))  # DUP
_pushes(0x68, 8, lambda s: _get(s, s.reader.take(1)[0]))  # BINGET
_pushes(0x6A, 8, lambda s: _get(s, s.reader.number(4)))  # LONG_BINGET
_pushes(0x67, 8, lambda s: _get(s, _decimal(s.reader.line())))  # GET


# globals and objects


def _global(s: Stack) -> Any:
    return s.objects.load_global(str(s.reader.line(), "utf-8"), str(s.reader.line(), "utf-8"))


def _stack_global(s: Stack) -> Any:
    name, module = s.items.pop(), s.items.pop()
    if type(name) is not str or type(module) is not str:
        raise Corrupt("the name of a global in it is not a text")
    return s.objects.load_global(module, name)


def _persistent(s: Stack, key: Any) -> Any:
    if s.persistent_load is None:
        raise Corrupt("it refers to a persistent id, and no persistent_load was given")
    return s.persistent_load(key)


_pushes(0x63, 8, _global)  # GLOBAL
_pushes(0x93, 8, _stack_global)  # STACK_GLOBAL
_pushes(0x50, 8, lambda s: _persistent(s, str(s.reader.line(), "ascii")))  # PERSID
_pushes(0x51, 8, lambda s: _persistent(s, s.items.pop()))  # BINPERSID
_opcode(0x62, 128)(lambda s: s.build(s.items.pop()))  # BUILD


@_opcode(0x52, 128)
def _reduce(s: Stack) -> None:
    args = s.items.pop()
    s.items[-1] = s.objects.call(s.items[-1], args)


@_opcode(0x81, 128)
def _newobj(s: Stack) -> None:
    args = s.items.pop()
    s.items[-1] = s.objects.new(s.items[-1], args, {})


@_opcode(0x92, 128)
def _newobj_ex(s: Stack) -> None:
    named, args = s.items.pop(), s.items.pop()
    s.items[-1] = s.objects.new(s.items[-1], args, named)


@_opcode(0x69)
def _inst(s: Stack) -> None:
    raise refusal(str(s.reader.line(), "utf-8", "replace"), str(s.reader.line(), "utf-8", "replace"))


@_opcode(0x6F)
def _obj(s: Stack) -> None:
    items = s.pop_mark()
    raise s.objects.not_callable(items[0])


@_opcode(0x82)  # EXT1
@_opcode(0x83)  # EXT2
@_opcode(0x84)  # EXT4
def _extension(s: Stack) -> None:
    raise refused("it names a class by an extension code (copyreg)")
