"""What a pickle would name and do, told without doing it."""

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
    """The globals that a pickle names, as `module.name`; its disassembly; why it could not be read, if so.

    The globals are found by the restricted decoder itself, with something inert in place of each of them: no
    second parser could see others.
    """
    # What is in the buffers beside it names nothing.
    machine = Machine(bytes(body), allow={}, buffers=repeat(b""), objects=InertObjects)
    machine.checks_size = False  # the value is not shown
    found: dict[str, None] = machine.objects.found
    problem = None
    try:
        machine.run()
        if machine.left_over:
            problem = "bytes follow its end"
    except Untrusted as exc:  # an old way to name a class, which the decoder does not know
        if exc.missing:
            found[exc.missing] = None
        problem = str(exc)
    except (StoreError, EOFError) as exc:
        problem = str(exc) or "it is empty"
    except Exception as exc:  # whatever malformed bytes make of the machine
        problem = f"its bytes cannot be read to their end ({type(exc).__name__}: {exc})"[:_LINE]
    return tuple(found), _disassembled(body), problem


class _Inert:
    """Stands for every class, every function, and all that they make; it can be filled, and keeps nothing."""

    __slots__ = ("dotted",)

    def __init__(self, dotted: str = "") -> None:
        self.dotted = dotted  # the name of a global, else empty

    def __setitem__(self, key: Any, value: Any) -> None:
        """As a dict's."""

    def append(self, item: Any) -> None:
        """As a list's."""


class InertObjects:
    """Notes the globals, and calls nothing. In the place of `Objects` in a machine."""

    def __init__(self, names: Names, filling: Filling, lent: dict[int, Any]) -> None:
        self.names, self.budget, self.lent = names, names.budget, lent
        self.unbuilt: dict[int, Any] = {}
        self.found: dict[str, None] = {}
        filling.classes = {_Inert}
        plain = Objects(names, filling, lent)
        self.make_frozenset, self.not_callable = plain.make_frozenset, plain.not_callable

    def load_global(self, module: str, name: str) -> Any:
        return self._note(".".join(self.names.renamed(module, name)))  # what the full decoder would take

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
                return self._note(f"{owner.dotted}.{name}")  # how protocols below 4 name a class in a class
        return made

    def new(self, cls: Any, args: Any, named: dict[str, Any]) -> Any:
        return self._inert(cls, args)

    def build(self, target: Any, state: Any) -> Any:
        self.budget.charge(64)
        return target

    def _inert(self, function: Any, args: Any) -> _Inert:
        if type(function) is not _Inert:
            raise Corrupt("it calls something that is no class and no function")
        self.budget.charge(64)
        return _Inert()


def _disassembled(body: bytes) -> str:
    out = _Lines()
    try:
        pickletools.dis(body, out)
    except _Enough:
        pass
    except Exception as exc:  # whatever malformed bytes make of pickletools
        out.end(f"... cannot be read further: {type(exc).__name__}: {exc}")
    return out.getvalue()


class _Enough(Exception):
    pass


class _Lines(io.StringIO):
    """Text that ends after so many lines, each part of them cut to a readable length."""

    lines = 0

    def write(self, text: str) -> int:
        if self.lines >= MAX_LINES:
            self.end(f"... cut after {MAX_LINES} lines")
            raise _Enough
        self.lines += text.count("\n")
        return super().write(text if len(text) <= _LINE else text[: _LINE - 3] + "...")

    def end(self, remark: str) -> None:
        """A last line."""
        super().write(remark[:_LINE] + "\n")
