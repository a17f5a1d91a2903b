"""Whether a call comes from inside an operation that it interrupts: from a signal handler or a finalizer.

Both run in the thread that they interrupt, between two instructions of it, with its frames below theirs.
"""

from __future__ import annotations

import contextlib
import gc
import inspect
import os
import sys
import weakref
from collections.abc import Iterable
from types import FrameType
from typing import Any


def _file_of(function: Any) -> str:
    return str(function.__code__.co_filename)  # which is what frames say, also where a bundler renamed files


# Whose files are ours, and what lies between two frames of ours that are used with `with`. By their files: a look at
# the names of their modules takes longer, and this is done for each step of a transaction that is not the program's.
_OURS = (os.path.dirname(os.path.dirname(_file_of(_file_of))) + os.sep, _file_of(contextlib.contextmanager))
_FINALIZE = weakref.finalize.__call__.__code__


def strangers(frame: FrameType | None, operation: int) -> list[FrameType] | None:
    """The frames of others from a frame down to that of an operation, given by `id`; None where it is not below."""
    found: list[FrameType] = []
    while frame is not None:
        if id(frame) == operation:
            return found
        if not frame.f_code.co_filename.startswith(_OURS):
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
        if uncalled and below.f_code.co_filename.startswith(_OURS):
            return True
        frame, below = below, below.f_back
    return False


def _is_uncalled(frame: FrameType) -> bool:
    """Told by what such a function is given: the frame that it struck, or the reference whose object is gone.

    Which function handles a signal cannot be asked: handlers often reset that first.
    """
    code = frame.f_code
    if code.co_name == "__del__" or code is _FINALIZE:
        return True
    given = inspect.getargvalues(frame)
    values = [given.locals[name] for name in given.args if name in given.locals]
    if given.varargs is not None:
        values += given.locals.get(given.varargs, ())
    if any(value is frame.f_back or _is_dead_reference(value) for value in values):
        return True
    return any(getattr(callback, "__code__", None) is code for callback in gc.callbacks)


def _is_dead_reference(value: object) -> bool:
    return isinstance(value, weakref.ReferenceType) and value() is None
