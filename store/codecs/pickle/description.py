"""Describes the globals and opcodes of a pickle without running it."""

from __future__ import annotations

import io
import pickletools
from itertools import repeat
from typing import Any

from store.classes.lookup import MAX_NAME
from store.codecs.restricted.filling import Filling
from store.codecs.restricted.machine import Machine
from store.codecs.restricted.names import Names
from store.codecs.restricted.objects import Objects
from store.errors import Corrupt, StoreError, Untrusted

MAX_LINES = 2000
_LINE = 300


def describe(body: bytes) -> tuple[tuple[str, ...], str, str | None]:
    """(globals that a pickle names, as `module.name`; its disassembly; why it could not be read, or None).

    The restricted decoder itself finds the globals, with an inert object in place of each: a second parser might find
    others.
    """
    # The buffers beside a pickle name no globals.
    machine = Machine(bytes(body), allow={}, buffers=repeat(b""), objects=InertObjects)
    machine.checks_size = False  # the value is not shown
    found: dict[str, None] = machine.objects.found
    problem = None
    try:
        machine.run()
        if machine.left_over:
            problem = "bytes follow its end"
    except Untrusted as exc:  # an old opcode that names a class, which the decoder does not support
        if exc.missing:
            found[exc.missing] = None
        problem = str(exc)
    except (StoreError, EOFError) as exc:
        problem = str(exc) or "it is empty"
    except Exception as exc:  # malformed bytes can raise any error in the machine
        problem = f"its bytes cannot be read to their end ({type(exc).__name__}: {exc})"[:_LINE]
    return tuple(found), _disassembled(body), problem


class _Inert:
    """Replaces every class, function and object made by them; accepts items and discards them."""

    __slots__ = ("dotted",)

    def __init__(self, dotted: str = "") -> None:
        self.dotted = dotted  # the name of a global, else empty

    def __setitem__(self, key: Any, value: Any) -> None:
        """As a dict's."""

    def append(self, item: Any) -> None:
        """As a list's."""


class InertObjects:
    """Replaces `Objects` in a machine: notes the globals and calls nothing."""

    def __init__(self, names: Names, filling: Filling, lent: dict[int, Any]) -> None:
        self.names, self.budget, self.lent = names, names.budget, lent
        self.unbuilt: dict[int, Any] = {}
        self.found: dict[str, None] = {}
        filling.classes = {_Inert}
        plain = Objects(names, filling, lent)
        self.make_frozenset, self.not_callable = plain.make_frozenset, plain.not_callable

    def load_global(self, module: str, name: str) -> Any:
        return self._note(".".join(self.names.renamed(module, name)))  # as the full decoder resolves it

    def _note(self, dotted: str) -> _Inert:
        if len(dotted) > MAX_NAME:
            raise Corrupt(f"the name of a global in it has more than {MAX_NAME} characters: {dotted[:100]!r}...")
        if dotted not in self.found:
            self.budget.charge(64 + 4 * len(dotted))
            self.found[dotted] = None
        return _Inert(dotted)

    def call(self, function: Any, args: Any) -> Any:
        made = self._inert(function, args)
        if function.dotted == "builtins.getattr" and type(args) is tuple and len(args) == 2:
            owner, name = args
            if type(owner) is _Inert and owner.dotted and type(name) is str:
                return self._note(f"{owner.dotted}.{name}")  # protocols below 4 name a nested class this way
        return made

    def new(self, cls: Any, args: Any, named: dict[str, Any]) -> Any:
        return self._inert(cls, args)

    def build(self, target: Any, state: Any) -> Any:
        self.budget.charge(64)
        return target

    def _inert(self, function: Any, args: Any) -> _Inert:
        if type(function) is not _Inert:
            raise Corrupt("it calls an object that is neither a class nor a function")
        self.budget.charge(64)
        return _Inert()


def _disassembled(body: bytes) -> str:
    out = _Lines()
    try:
        pickletools.dis(body, out)
    except _Enough:
        pass
    except Exception as exc:  # malformed bytes can raise any error in pickletools
        out.end(f"... cannot be read further: {type(exc).__name__}: {exc}")
    return out.getvalue()


class _Enough(Exception):
    pass


class _Lines(io.StringIO):
    """Text of limited length: at most `MAX_LINES` lines, and each write is cut."""

    lines = 0

    def write(self, text: str) -> int:
        if self.lines >= MAX_LINES:
            self.end(f"... cut after {MAX_LINES} lines")
            raise _Enough
        self.lines += text.count("\n")
        return super().write(text if len(text) <= _LINE else text[: _LINE - 3] + "...")

    def end(self, remark: str) -> None:
        """Append a last line."""
        super().write(remark[:_LINE] + "\n")
