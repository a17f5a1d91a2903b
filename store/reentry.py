"""Whether a call comes from inside an operation that it interrupts: from a signal handler or a finalizer.

Both run in the thread that they interrupt, between two instructions of it, with its frames below theirs.
"""

from __future__ import annotations

import gc
import inspect
import sys
from collections.abc import Iterable
from types import FrameType
from weakref import ReferenceType

_PACKAGE = __name__.partition(".")[0] + "."


def is_ours(frame: FrameType) -> bool:
    """Whether it runs code of this package, or of a generator of ours that is used with `with`."""
    name = str(frame.f_globals.get("__name__"))
    return name.startswith(_PACKAGE) or name == "contextlib"


def strangers(frame: FrameType | None, operation: int) -> list[FrameType] | None:
    """The frames of others from a frame down to that of an operation, given by `id`; None where it is not below.

    A finalizer of ours counts with the others: nobody called it.
    """
    found: list[FrameType] = []
    while frame is not None:
        if id(frame) == operation:
            return found
        if not is_ours(frame) or frame.f_code.co_name == "__del__":
            found.append(frame)
        frame = frame.f_back
    return None


def are_uncalled(frames: Iterable[FrameType]) -> bool:
    """Whether one of them is of a function that no code called: a handler of a signal, a finalizer."""
    return any(map(_is_uncalled, frames))


def is_interrupting() -> bool:
    """Whether the caller runs inside a signal handler or a finalizer which struck code of this package."""
    frame, uncalled = sys._getframe(1), False
    below = frame.f_back
    while below is not None:
        uncalled = uncalled or _is_uncalled(frame)
        if uncalled and is_ours(below) and not is_ours(frame):
            return True
        frame, below = below, below.f_back
    return False


def _is_uncalled(frame: FrameType) -> bool:
    """Told by what such a function is given: the frame that it struck, or the reference whose object is gone.

    Which function handles a signal cannot be asked: handlers often reset that first.
    """
    code = frame.f_code
    if code.co_name == "__del__" or frame.f_globals.get("__name__") == "weakref":
        return True
    given = inspect.getargvalues(frame)
    values = [given.locals[name] for name in given.args if name in given.locals]
    if given.varargs is not None:
        values += given.locals.get(given.varargs, ())
    if any(type(value) is FrameType or _is_dead_reference(value) for value in values):
        return True
    return any(getattr(callback, "__code__", None) is code for callback in gc.callbacks)


def _is_dead_reference(value: object) -> bool:
    return isinstance(value, ReferenceType) and value() is None
