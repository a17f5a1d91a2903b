"""The stack, the marks and the memo of a pickle machine, and what its opcodes read from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from store.codecs.restricted.filling import Filling
from store.codecs.restricted.reader import Reader
from store.errors import Corrupt


class Unbuilt:
    """Stands on the stack for an object that BUILD will make of its state, and in the memo.

    Nothing but BUILD may use it: it is put into no container, and not taken out of the memo.
    """

    __slots__ = ("build", "places")

    def __init__(self, build: Callable[[Any], Any]) -> None:
        self.build = build
        self.places: list[int] = []  # in the memo


class Stack:
    """What the opcodes of one pickle work on."""

    def __init__(self, reader: Reader, objects: Any, filling: Filling) -> None:
        self.reader, self.objects, self.filling, self.budget = reader, objects, filling, filling.budget
        self.items: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.is_shared = False  # something large may be in the value more than once
        self.encoding, self.errors = "ASCII", "strict"  # of texts of Python 2
        self.buffers: Iterator[Any] | None = None
        self.persistent_load: Callable[[Any], Any] | None = None

    def pop_mark(self) -> list[Any]:
        """What was pushed since the last mark."""
        items = self.items
        self.items = self.marks.pop()
        return items

    def next_buffer(self) -> Any:
        """One of the buffers beside the pickle; its bytes are a part of the stream."""
        if self.buffers is None:
            raise Corrupt("it refers to buffers, and none were given")
        try:
            buffer = next(self.buffers)
        except StopIteration:
            raise Corrupt("it refers to more buffers than were given") from None
        with memoryview(buffer) as view:
            self.budget.grow(view.nbytes)
        self.objects.lent[id(buffer)] = buffer
        return buffer

    def make_readonly(self, view: memoryview) -> None:
        """The view takes the place of the buffer that is on top."""
        buffer, self.items[-1] = self.items[-1], view
        if self.objects.lent.pop(id(buffer), None) is not None:
            self.objects.lent[id(view)] = view

    def build(self, state: Any) -> None:
        """Give the object on top its state, or put what is made of that in its place, in the memo too."""
        target = self.items[-1]
        made = self.items[-1] = self.objects.build(target, state)
        if type(target) is Unbuilt:
            for index in target.places:
                if self.memo[index] is target:
                    self.memo[index] = made
