"""`ended_by_sigterm`: SIGTERM as the end of a command that runs until it is ended."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

EXIT_TERMINATED = 143  # what shells give for SIGTERM


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Inside, SIGTERM ends the command as an exception does, so that the store is closed and the terminal as before.

    uvicorn raises it again when it has ended.
    """

    def end(number: int, frame: FrameType | None) -> NoReturn:
        sys.exit(EXIT_TERMINATED)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
