"""The state that the opcodes work on: stack, marks, memo, reader and buffers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from store.codecs.restricted.filling import Filling
from store.codecs.restricted.reader import Reader
from store.errors import Corrupt


class Unbuilt:
    """Represents on the stack and in the memo an object that BUILD will make from its state.

    Only BUILD may use it: it can be neither put into a container nor fetched from the memo.
    """

    __slots__ = ("build", "places")

    def __init__(self, build: Callable[[Any], Any]) -> None:
        self.build = build
        self.places: list[int] = []  # memo indexes


class Stack:
    """The state of one pickle while it is decoded."""

    def __init__(self, reader: Reader, objects: Any, filling: Filling) -> None:
        self.reader, self.objects, self.filling, self.budget = reader, objects, filling, filling.budget
        self.items: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.is_shared = False  # something large may be in the value more than once
        self.encoding, self.errors = "ASCII", "strict"  # of Python 2 `str`
        self.buffers: Iterator[Any] | None = None
        self.persistent_load: Callable[[Any], Any] | None = None

    def pop_mark(self) -> list[Any]:
        """Pop and return the items since the last mark."""
        items = self.items
        self.items = self.marks.pop()
        return items

    def next_buffer(self) -> Any:
        """The next buffer beside the pickle; its size counts as part of the stream."""
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
        """Replace the buffer on top by the view."""
        buffer, self.items[-1] = self.items[-1], view
        if self.objects.lent.pop(id(buffer), None) is not None:
            self.objects.lent[id(view)] = view

    def build(self, state: Any) -> None:
        """Set the state of the object on top, or replace it by the object made from the state, also in the memo."""
        target = self.items[-1]
        made = self.items[-1] = self.objects.build(target, state)
        if type(target) is Unbuilt:
            for index in target.places:
                if self.memo[index] is target:
                    self.memo[index] = made
