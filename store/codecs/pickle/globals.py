"""Which classes and functions a pickle names, found in microseconds: to choose samples, never to decide on trust.

The pickler writes a name in one way: from protocol 4 on the strings of module and name, then STACK_GLOBAL and
MEMOIZE; below, GLOBAL with both in lines of their own, then a PUT. So no name is missed; bytes of other
data that look the same may be found as well. Opcodes: https://github.com/python/cpython/blob/main/Lib/pickletools.py
"""

from __future__ import annotations

import re
from typing import NamedTuple

STACK_GLOBAL = b"\x93"  # in each pickle of protocol 4 or later that names something
FIRST_PROTOCOL = 4  # that has it
_MEMOIZE, _FRAME, _SHORT = 0x94, 0x95, b"\x8c"  # _SHORT: a string of up to 255 bytes, its length in one
_BINGET, _LONG_BINGET = ord("h"), ord("j")
_FRAME_BYTES = 9
_MOST = 255
_MOST_IN_LINE = 2000
_NAMED = re.compile(rb"\x93\x94")
_NAMED_IN_LINES = re.compile(rb"\n[qrp]")
_MODULE = re.compile(rb"c([A-Za-z_][\w.]*)\Z")


class Named(NamedTuple):
    """A class or function; either part is empty where the pickle refers to a string that it had before."""

    module: bytes
    name: bytes


def named_in(body: bytes, protocol: int) -> list[Named]:
    """All that the pickle names, each at its first mention."""
    return _on_stack(body) if protocol >= FIRST_PROTOCOL else _in_lines(body)


def _on_stack(body: bytes) -> list[Named]:
    found = []
    for match in _NAMED.finditer(body):
        name, start = _string_before(body, match.start())
        if name is None:  # other data
            continue
        if start >= _FRAME_BYTES and body[start - _FRAME_BYTES] == _FRAME:  # a frame may end between the strings
            module = _string_before(body, start - _FRAME_BYTES)[0] or _string_before(body, start)[0]
        else:
            module = _string_before(body, start)[0]
        found.append(Named(module or b"", name))
    return found


def _string_before(body: bytes, end: int) -> tuple[bytes | None, int]:
    """The string that was put on the stack up to `end`, and where; empty for one by reference, None for none."""
    is_new = end > 0 and body[end - 1] == _MEMOIZE
    start = body.rfind(_SHORT, max(0, end - _MOST - 3), end - 1) if is_new else -1
    while start >= 0:
        if body[start + 1] == end - start - 3:
            return body[start + 2 : end - 1], start
        start = body.rfind(_SHORT, max(0, end - _MOST - 3), start)
    if end >= 2 and body[end - 2] == _BINGET:
        return b"", end - 2
    if end >= 5 and body[end - 5] == _LONG_BINGET:
        return b"", end - 5
    return (b"", 0) if is_new else (None, end)  # a longer string, or none


def _in_lines(body: bytes) -> list[Named]:
    found = []
    for match in _NAMED_IN_LINES.finditer(body):
        end = match.start()
        start = body.rfind(b"\n", max(0, end - _MOST_IN_LINE), end)
        module = _MODULE.search(body[max(0, start - _MOST) : max(0, start)])
        if module is not None:
            found.append(Named(module[1], body[start + 1 : end]))
    return found
