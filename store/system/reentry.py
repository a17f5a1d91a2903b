"""Whether a call comes from a signal handler or a finalizer that interrupts an operation.

Both run in the thread that they interrupt, between two instructions, with its frames below theirs.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import weakref
from collections.abc import Iterable
from types import FrameType
from typing import Any


def _file_of(function: Any) -> str:
    return str(function.__code__.co_filename)  # the same as in frames, even if a bundler renamed files


# Files of the library, and of `contextlib`, whose frames come between ours in a `with`. Compared by file, which is
# faster than by module name: this runs at each step of a transaction that is not a block of the program.
_OURS = (os.path.dirname(os.path.dirname(_file_of(_file_of))) + os.sep, _file_of(contextlib.contextmanager))
CO_VARARGS = 0x04  # as in `inspect`, whose import takes 4 ms
_FINALIZE = weakref.finalize.__call__.__code__


def strangers(frame: FrameType | None, operation: int) -> list[FrameType] | None:
    """The foreign frames from a frame down to that of an operation, given by `id`; None if it is not below."""
    found: list[FrameType] = []
    while frame is not None:
        if id(frame) == operation:
            return found
        if not frame.f_code.co_filename.startswith(_OURS):
            found.append(frame)
        frame = frame.f_back
    return None


def are_uncalled(frames: Iterable[FrameType]) -> bool:
    """Whether one of them belongs to a function that no code called: a signal handler or a finalizer."""
    return any(map(_is_uncalled, frames))


def is_interrupting() -> bool:
    """Whether the caller runs inside a signal handler or a finalizer that interrupts code of this package."""
    frame, uncalled = sys._getframe(1), False
    below = frame.f_back
    while below is not None:
        uncalled = uncalled or _is_uncalled(frame)
        if uncalled and below.f_code.co_filename.startswith(_OURS):
            return True
        frame, below = below, below.f_back
    return False


def _is_uncalled(frame: FrameType) -> bool:
    """Recognises it by its arguments: the interrupted frame, or a weak reference to a dead object.

    The function that handles a signal cannot be looked up: handlers often reset that first.
    """
    code = frame.f_code
    if code.co_name == "__del__" or code is _FINALIZE:
        return True
    if any(value is frame.f_back or _is_dead_reference(value) for value in _arguments(frame)):
        return True
    return any(getattr(callback, "__code__", None) is code for callback in gc.callbacks)


def _arguments(frame: FrameType) -> list[object]:
    """The values of its parameters that are still set, and those that `*args` took."""
    code, values = frame.f_code, frame.f_locals
    count = code.co_argcount + code.co_kwonlyargcount
    found = [values[name] for name in code.co_varnames[:count] if name in values]
    if code.co_flags & CO_VARARGS:
        found += values.get(code.co_varnames[count], ())
    return found


def _is_dead_reference(value: object) -> bool:
    return isinstance(value, weakref.ReferenceType) and value() is None
