"""Waiting for a key, or for the time of the next frame."""

from __future__ import annotations

import importlib
import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from store.cli.output.terminal import is_answered

END = b"q"

Wait = Callable[[float], bytes]
"""Waits for so many seconds, or for a key; returns the key, or b"" where none was pressed."""


@contextmanager
def keys() -> Iterator[Wait]:
    """Keys without Enter, as long as the block lasts. Without a terminal on stdin, or on Windows, there are none."""
    if not is_answered() or sys.platform == "win32":
        yield _sleep
        return
    termios, tty = importlib.import_module("termios"), importlib.import_module("tty")
    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    try:
        tty.setcbreak(number)
        yield lambda seconds: _key(number, seconds)
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)


def _key(number: int, seconds: float) -> bytes:
    if not select.select([number], [], [], seconds)[0]:
        return b""
    return os.read(number, 1) or END  # the terminal is gone


def _sleep(seconds: float) -> bytes:
    time.sleep(seconds)
    return b""
