"""Pickle opcodes by hand, and what a stream of the corpus is.

Opcodes: https://docs.python.org/3/library/pickletools.html
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

UNTRUSTED = frozenset({"Untrusted"})
CORRUPT = frozenset({"Corrupt"})
REFUSED = UNTRUSTED | CORRUPT
LOADS = frozenset({"value"})
CONTAINED = LOADS | CORRUPT  # it may load if that does no harm


@dataclass(frozen=True)
class Stream:
    """A pickle of the corpus, and what may come of it.

    Args:
        body: the bytes, or what makes them (the large ones, when they are needed).
        expect: the outcomes that hold: the names of errors, or "value".
        executes: `trust="all"` runs its payload, which leaves the marker.
        check: whether the value is right.
        prepare: what happens in the process before.
        heavy: it takes long enough to be run twice only.
    """

    family: str
    name: str
    body: bytes | Callable[[], bytes]
    expect: frozenset[str]
    executes: bool = False
    check: Callable[[Any], bool] | None = None
    prepare: Callable[[], None] | None = None
    heavy: bool = False

    def bytes(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else self.body()


# Payloads: each makes the marker file, whose path is in the environment.
COMMAND = 'echo >"$HOSTILE_MARKER"'
CODE = "import os; open(os.environ['HOSTILE_MARKER'], 'w').close()"


def stream(*parts: bytes, protocol: int = 4) -> bytes:
    return b"\x80" + bytes([protocol]) + b"".join(parts) + b"."


def text(value: str) -> bytes:
    data = value.encode("utf-8", "surrogatepass")
    if len(data) < 256:
        return b"\x8c" + bytes([len(data)]) + data
    return b"X" + len(data).to_bytes(4, "little") + data


def data(value: bytes) -> bytes:
    if len(value) < 256:
        return b"C" + bytes([len(value)]) + value
    return b"B" + len(value).to_bytes(4, "little") + value


def number(value: int) -> bytes:
    if 0 <= value < 256:
        return b"K" + bytes([value])
    encoded = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    if len(encoded) < 256:
        return b"\x8a" + bytes([len(encoded)]) + encoded
    return b"\x8b" + len(encoded).to_bytes(4, "little") + encoded


def tup(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def lst(*items: bytes) -> bytes:
    return b"](" + b"".join(items) + b"e"


def dct(*items: bytes) -> bytes:
    return b"}(" + b"".join(items) + b"u"


def state(**attributes: bytes) -> bytes:
    return dct(*(part for name, value in attributes.items() for part in (text(name), value)))


def found(module: str, name: str) -> bytes:
    """STACK_GLOBAL."""
    return text(module) + text(name) + b"\x93"


def old(module: str, name: str) -> bytes:
    """GLOBAL."""
    return f"c{module}\n{name}\n".encode()


def call(function: bytes, *args: bytes) -> bytes:
    """REDUCE."""
    return function + tup(*args) + b"R"


def new(cls: bytes, *args: bytes) -> bytes:
    """NEWOBJ."""
    return cls + tup(*args) + b"\x81"


def new_ex(cls: bytes, args: bytes, named: bytes) -> bytes:
    """NEWOBJ_EX."""
    return cls + args + named + b"\x92"


def build(target: bytes, value: bytes) -> bytes:
    return target + value + b"b"


def keep(index: int) -> bytes:
    """BINPUT."""
    return b"q" + bytes([index])


def get(index: int) -> bytes:
    """BINGET."""
    return b"h" + bytes([index])


def aside(index: int, value: bytes) -> bytes:
    """Put a value into the memo and leave nothing on the stack."""
    return value + keep(index) + b"0"


NONE = b"N"
SYSTEM = found("os", "system")
EXEC = found("builtins", "exec")
RUN = call(SYSTEM, text(COMMAND))
VICTIM = found("victims", "Plain")
