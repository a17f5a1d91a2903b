"""The restricted decoder: a pickle machine that can make only plain data and instances of allowed classes.

It is the only parser: a separate scanner could read the same bytes differently. It knows the opcodes of protocols 0
to 5 that the standard library's pickler writes for such values; any other is an error. A global is looked up in a
table (`globals`), never imported. It is slow, 100–200 µs per KB, and is used only for foreign records.

Opcodes: https://docs.python.org/3/library/pickletools.html and CPython's Lib/pickletools.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import IO, Any

from store.classes.allowlist import Allowed
from store.classes.lookup import AS_WRITTEN, Lookup
from store.classes.size import size_of
from store.codecs.refusals import too_much
from store.codecs.restricted.filling import Filling
from store.codecs.restricted.globals import NAMES_OF_FUNCTIONS
from store.codecs.restricted.limits import Budget, check_unfolded
from store.codecs.restricted.names import Names, Special
from store.codecs.restricted.objects import Objects
from store.codecs.restricted.opcodes import COSTS, STEPS
from store.codecs.restricted.reader import Reader, truncated
from store.codecs.restricted.stack import Stack
from store.errors import Corrupt, StoreError

_SHOWN_CAUSE = 1 << 20  # as counted by `size_of`, of an error of the program's code
_STOP = 0x2E


class Machine:
    """Decodes one pickle, or the pickles of a file one after the other.

    Args:
        allow: the classes that may be made, called and given state.
        lookup: the new names of classes that moved.
        special: names with a meaning in this stream alone.
        objects: the class that makes the objects; `description.py` passes another.
    """

    def __init__(
        self,
        source: bytes | IO[bytes],
        *,
        allow: Allowed,
        buffers: Iterable[Any] | None = None,
        fix_imports: bool = True,
        encoding: str = "ASCII",
        errors: str = "strict",
        lookup: Lookup = AS_WRITTEN,
        special: Special = NAMES_OF_FUNCTIONS,
        objects: Callable[[Names, Filling, dict[int, Any]], Any] = Objects,
    ) -> None:
        self.budget = Budget()
        self.reader = Reader(source, self.budget)
        self.names = Names(self.budget, allow, lookup, fix_imports, special)
        self.filling = Filling(self.budget, self.names.classes)
        self.objects: Any = objects(self.names, self.filling, {})
        self.stack = Stack(self.reader, self.objects, self.filling)
        self.stack.buffers = None if buffers is None else iter(buffers)
        self.stack.encoding, self.stack.errors = encoding, errors
        self.checks_size = True
        self.left_over = 0  # bytes that follow the end of the pickle

    def run(self) -> Any:
        """The value.

        Raises:
            EOFError: there is no pickle at all. Untrusted, Corrupt.
        """
        self.names.protocol, self.filling.running = 0, None
        self.stack.items, self.stack.marks, self.objects.unbuilt = [], [], {}
        self.budget.renew()
        opcode = self.reader.opcode()
        try:
            return self._decode(opcode)
        except StoreError:  # ours, and errors of `versioned`
            raise
        except Exception as exc:  # MemoryError and RecursionError too: the bytes can cause either
            # Errors of our constructors and Python's may quote values and are dropped; those of a class are kept.
            raise self._corrupt(exc) from (exc if self._may_be_shown(exc) else None)

    def _decode(self, opcode: int) -> Any:
        budget, next_opcode, stack = self.budget, self.reader.opcode, self.stack
        try:
            while opcode != _STOP:
                budget.left -= COSTS[opcode]
                if budget.left < 0:
                    budget.charge(0)
                STEPS[opcode](stack)
                opcode = next_opcode()
            return self._stop()
        except EOFError:
            if self.filling.running:
                raise
            raise truncated() from None

    def _stop(self) -> Any:
        value = self.stack.items.pop()
        if self.stack.items or self.stack.marks:
            raise Corrupt("it ends with values left over on the stack")
        if self.objects.unbuilt:
            raise Corrupt("an object in it never got its state")
        self.left_over = self.reader.end()
        if self.stack.is_shared and self.checks_size:  # writing it out or comparing it could take forever
            # Objects of allowed classes are not visited: their graphs may be legitimate, with a short `repr`.
            check_unfolded(size_of(value, through_objects=False).text, self.budget.size)
        return value

    def _may_be_shown(self, exc: Exception) -> bool:
        """Whether it is an error of the program's code with arguments of bounded size."""
        return self.filling.running is not None and size_of(exc).text < _SHOWN_CAUSE

    def _corrupt(self, exc: Exception) -> Corrupt:
        """The error for any internal failure; it does not quote values."""
        if self.filling.running is not None:
            return Corrupt(
                f"an object in it could not be made: {self.filling.running.__qualname__[:80]!r} raised "
                f"{type(exc).__name__}; the record stays as it is"
            )
        if isinstance(exc, MemoryError):
            return too_much("it takes more memory than there is")
        if isinstance(exc, IndexError):
            return Corrupt("an opcode takes more from the stack than there is")
        return Corrupt(f"its bytes cannot be decoded ({type(exc).__name__}); the record stays as it is")
