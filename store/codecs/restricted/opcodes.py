"""The opcodes of the restricted decoder, by their names in pickletools: one function each.

https://docs.python.org/3/library/pickletools.html; what is not here is no opcode that plain data needs.
"""

from __future__ import annotations

import codecs
import math
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from store.codecs.refusals import refusal, refused
from store.errors import Corrupt

if TYPE_CHECKING:
    from store.codecs.restricted.machine import Machine

MAX_MARKS = 100_000
_LARGE = 1000  # characters of a text
_DIGITS = 4300  # of a decimal integer: Python's own default limit

Step = Callable[["Machine"], None]


class Unbuilt:
    """Stands on the stack for an object that BUILD will make of its state, and in the memo.

    Nothing but BUILD may use it: it is put into no container, and not taken out of the memo.
    """

    __slots__ = ("build", "places")

    def __init__(self, build: Callable[[Any], Any]) -> None:
        self.build = build
        self.places: list[int] = []  # in the memo


def _unknown(m: Machine) -> None:
    raise Corrupt("it has an opcode that plain data does not need")


STEPS: list[Step] = [_unknown] * 256
COSTS = [8] * 256  # bytes that the opcode alone makes Python allocate, beside its argument


def _opcode(code: int, cost: int = 8) -> Callable[[Step], Step]:
    def register(step: Step) -> Step:
        STEPS[code] = step
        COSTS[code] = cost
        return step

    return register


def _constant(code: int, value: Any) -> None:
    _opcode(code)(lambda m: m.stack.append(value))


_constant(0x4E, None)  # NONE
_constant(0x88, True)  # NEWTRUE
_constant(0x89, False)  # NEWFALSE
_constant(0x29, ())  # EMPTY_TUPLE


@_opcode(0x80)
def _proto(m: Machine) -> None:
    m.protocol = m.reader.take(1)[0]
    if m.protocol > 5:
        raise Corrupt(f"its pickle protocol is {m.protocol}, and this program knows 0 to 5")


@_opcode(0x95)
def _frame(m: Machine) -> None:
    m.reader.frame(m.reader.number(8))


# numbers


@_opcode(0x4A, 32)
def _binint(m: Machine) -> None:
    m.stack.append(int.from_bytes(m.reader.take(4), "little", signed=True))


@_opcode(0x4B)
def _binint1(m: Machine) -> None:
    m.stack.append(m.reader.take(1)[0])


@_opcode(0x4D, 32)
def _binint2(m: Machine) -> None:
    m.stack.append(m.reader.number(2))


@_opcode(0x49, 32)
def _int(m: Machine) -> None:
    line = m.reader.line()
    m.stack.append(line == b"01" if line in (b"00", b"01") else _decimal(line))


@_opcode(0x4C, 32)
def _long(m: Machine) -> None:
    m.stack.append(_decimal(m.reader.line().removesuffix(b"L")))


@_opcode(0x8A, 32)
def _long1(m: Machine) -> None:
    m.stack.append(int.from_bytes(m.reader.take(m.reader.take(1)[0]), "little", signed=True))


@_opcode(0x8B, 32)
def _long4(m: Machine) -> None:
    size = int.from_bytes(m.reader.take(4), "little", signed=True)
    if size < 0:
        raise Corrupt("a number in it has a negative length")
    m.stack.append(int.from_bytes(m.reader.take(size), "little", signed=True))


@_opcode(0x46, 32)
def _float(m: Machine) -> None:
    line = m.reader.line()
    value = float(line)
    if b"_" in line or line != line.strip() or (math.isinf(value) and b"n" not in line.lower()):
        raise Corrupt("a number in it is not a float as pickle writes it")
    m.stack.append(value)


@_opcode(0x47, 32)
def _binfloat(m: Machine) -> None:
    m.stack.append(struct.unpack(">d", m.reader.take(8))[0])


def _decimal(line: bytes) -> int:
    digits = line[1:] if line[:1] == b"-" else line
    if not digits.isdigit() or len(digits) > _DIGITS:
        raise Corrupt("a number in it is not a decimal integer of up to 4,300 digits")
    if digits[:1] == b"0" and line != b"0":  # octal to the C unpickler, and -0 is False to it
        raise Corrupt("a number in it begins with a zero")
    return int(line)


# text and bytes


def _sized(code: int, width: int, make: Callable[[Machine, bytes], Any]) -> None:
    _opcode(code, 64)(lambda m: m.stack.append(make(m, m.reader.take(m.reader.number(width)))))


def _as_text(m: Machine, data: bytes) -> str:
    return str(data, "utf-8", "surrogatepass")


def _as_bytes(m: Machine, data: bytes) -> bytes:
    return data


def _as_bytearray(m: Machine, data: bytes) -> bytearray:
    return bytearray(data)


def _as_old_text(m: Machine, data: bytes) -> Any:
    """A `str` of Python 2."""
    return data if m.encoding == "bytes" else data.decode(m.encoding, m.errors)


_sized(0x8C, 1, _as_text)  # SHORT_BINUNICODE
_sized(0x58, 4, _as_text)  # BINUNICODE
_sized(0x8D, 8, _as_text)  # BINUNICODE8
_sized(0x43, 1, _as_bytes)  # SHORT_BINBYTES
_sized(0x42, 4, _as_bytes)  # BINBYTES
_sized(0x8E, 8, _as_bytes)  # BINBYTES8
_sized(0x96, 8, _as_bytearray)  # BYTEARRAY8
_sized(0x55, 1, _as_old_text)  # SHORT_BINSTRING


@_opcode(0x54, 64)
def _binstring(m: Machine) -> None:
    size = int.from_bytes(m.reader.take(4), "little", signed=True)
    if size < 0:
        raise Corrupt("a text in it has a negative length")
    m.stack.append(_as_old_text(m, m.reader.take(size)))


@_opcode(0x53, 64)
def _string(m: Machine) -> None:
    line = m.reader.line()
    if len(line) < 2 or line[0] != line[-1] or line[0] not in b"\"'":
        raise Corrupt("a text in it has no quotes")
    m.stack.append(_as_old_text(m, codecs.escape_decode(line[1:-1])[0]))


@_opcode(0x56, 64)
def _unicode(m: Machine) -> None:
    m.stack.append(str(m.reader.line(), "raw-unicode-escape"))


@_opcode(0x97)
def _next_buffer(m: Machine) -> None:
    m.stack.append(m.next_buffer())


@_opcode(0x98)
def _readonly_buffer(m: Machine) -> None:
    with memoryview(m.stack[-1]) as view:
        if not view.readonly:
            m.make_readonly(view.toreadonly())


# containers

_opcode(0x5D, 64)(lambda m: m.stack.append([]))  # EMPTY_LIST
_opcode(0x7D, 72)(lambda m: m.stack.append({}))  # EMPTY_DICT
_opcode(0x8F, 224)(lambda m: m.stack.append(set()))  # EMPTY_SET
_opcode(0x61, 16)(lambda m: _append(m, m.stack.pop()))  # APPEND


def _append(m: Machine, item: Any) -> None:
    m.fill_list(m.stack[-1], [item])


@_opcode(0x28, 72)
def _mark(m: Machine) -> None:
    if len(m.marks) >= MAX_MARKS:
        raise Corrupt(f"it has more than {MAX_MARKS} marks open")
    m.marks.append(m.stack)
    m.stack = []


@_opcode(0x65)
def _appends(m: Machine) -> None:
    items = m.pop_mark()
    m.budget.charge(8 * len(items))
    m.fill_list(m.stack[-1], items)


@_opcode(0x73, 96)
def _setitem(m: Machine) -> None:
    value, key = m.stack.pop(), m.stack.pop()
    m.fill_dict(m.stack[-1], [key, value])


@_opcode(0x75, 96)
def _setitems(m: Machine) -> None:
    items = m.pop_mark()
    m.budget.charge(48 * len(items))
    m.fill_dict(m.stack[-1], items)


@_opcode(0x90)
def _additems(m: Machine) -> None:
    items = m.pop_mark()
    target = m.stack[-1]
    if type(target) is not set:
        raise Corrupt("it adds items to something that is no set")
    m.budget.charge(64 * len(items))
    m.fill_set(target, items)


@_opcode(0x91, 224)
def _frozenset(m: Machine) -> None:
    made = m.make_frozenset(m.pop_mark())
    m.budget.charge(64 * len(made))
    m.budget.track(made)
    m.budget.nest(made, made)
    m.stack.append(made)


@_opcode(0x6C, 64)
def _list(m: Machine) -> None:
    items = m.pop_mark()
    m.budget.nest(items, items)
    m.stack.append(items)


@_opcode(0x64, 72)
def _dict(m: Machine) -> None:
    items = m.pop_mark()
    made: dict[Any, Any] = {}
    m.budget.charge(48 * len(items))
    m.fill_dict(made, items)
    m.stack.append(made)


@_opcode(0x74, 56)
def _tuple(m: Machine) -> None:
    _push_tuple(m, m.pop_mark())


def _short_tuple(code: int, size: int) -> None:
    def step(m: Machine) -> None:
        if len(m.stack) < size:
            raise IndexError
        items = m.stack[-size:]
        del m.stack[-size:]
        _push_tuple(m, items)

    _opcode(code, 40 + 8 * size)(step)


def _push_tuple(m: Machine, items: list[Any]) -> None:
    made = tuple(items)
    m.budget.charge(8 * len(made))
    m.budget.track(made)
    m.budget.nest(made, made)
    m.stack.append(made)


_short_tuple(0x85, 1)
_short_tuple(0x86, 2)
_short_tuple(0x87, 3)


# stack and memo


@_opcode(0x30)
def _pop(m: Machine) -> None:
    if m.stack:
        m.stack.pop()
    else:
        m.pop_mark()


_opcode(0x31)(lambda m: m.pop_mark().clear())  # POP_MARK
_opcode(0x32)(lambda m: m.stack.append(_usable(m, m.stack[-1])))  # DUP
_opcode(0x71, 112)(lambda m: _put(m, m.reader.take(1)[0]))  # BINPUT
_opcode(0x72, 112)(lambda m: _put(m, m.reader.number(4)))  # LONG_BINPUT
_opcode(0x70, 112)(lambda m: _put(m, _decimal(m.reader.line())))  # PUT
_opcode(0x94, 112)(lambda m: _put(m, len(m.memo)))  # MEMOIZE
_opcode(0x68)(lambda m: _get(m, m.reader.take(1)[0]))  # BINGET
_opcode(0x6A)(lambda m: _get(m, m.reader.number(4)))  # LONG_BINGET
_opcode(0x67)(lambda m: _get(m, _decimal(m.reader.line())))  # GET


def _put(m: Machine, index: int) -> None:
    if not 0 <= index <= len(m.memo) + 65_536:  # picklers count; chosen integers could be made to collide
        raise Corrupt("a memo index in it is out of all proportion")
    value = m.memo[index] = m.stack[-1]
    if type(value) is Unbuilt:
        value.places.append(index)


def _get(m: Machine, index: int) -> None:
    try:
        m.stack.append(_usable(m, m.memo[index]))
    except KeyError:
        raise Corrupt("it refers to a memo that it has not made") from None


def _usable(m: Machine, value: Any) -> Any:
    """A value that is on the stack once more: what is large is then in the value more than once."""
    kind = type(value)
    if kind is type or (kind is str and len(value) < _LARGE):
        return value
    m.is_shared = True
    if type(value) is Unbuilt:
        raise Corrupt("it refers to an object that has not got its state yet")
    return value


# globals and objects


@_opcode(0x63)
def _global(m: Machine) -> None:
    module, name = str(m.reader.line(), "utf-8"), str(m.reader.line(), "utf-8")
    m.stack.append(m.load_global(module, name))


@_opcode(0x93)
def _stack_global(m: Machine) -> None:
    name, module = m.stack.pop(), m.stack.pop()
    if type(name) is not str or type(module) is not str:
        raise Corrupt("the name of a global in it is not a text")
    m.stack.append(m.load_global(module, name))


@_opcode(0x52, 128)
def _reduce(m: Machine) -> None:
    args = m.stack.pop()
    m.stack[-1] = m.call(m.stack[-1], args)


@_opcode(0x81, 128)
def _newobj(m: Machine) -> None:
    args = m.stack.pop()
    m.stack[-1] = m.new(m.stack[-1], args, {})


@_opcode(0x92, 128)
def _newobj_ex(m: Machine) -> None:
    named, args = m.stack.pop(), m.stack.pop()
    m.stack[-1] = m.new(m.stack[-1], args, named)


@_opcode(0x62, 128)
def _build(m: Machine) -> None:
    state = m.stack.pop()
    m.build(m.stack[-1], state)


@_opcode(0x69)
def _inst(m: Machine) -> None:
    raise refusal(str(m.reader.line(), "utf-8", "replace"), str(m.reader.line(), "utf-8", "replace"))


@_opcode(0x6F)
def _obj(m: Machine) -> None:
    items = m.pop_mark()
    raise m.not_callable(items[0])


def _extension(code: int) -> None:
    def step(m: Machine) -> None:
        raise refused("it names a class by an extension code (copyreg)")

    _opcode(code)(step)


_extension(0x82)  # EXT1
_extension(0x83)  # EXT2
_extension(0x84)  # EXT4


@_opcode(0x50)
def _persid(m: Machine) -> None:
    _push_persistent(m, str(m.reader.line(), "ascii"))


@_opcode(0x51)
def _binpersid(m: Machine) -> None:
    _push_persistent(m, m.stack.pop())


def _push_persistent(m: Machine, key: Any) -> None:
    if m.persistent_load is None:
        raise Corrupt("it refers to a persistent id, and no persistent_load was given")
    m.stack.append(m.ask(m.persistent_load, key))
