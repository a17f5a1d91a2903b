"""Reasons for the system's errors on files, and advice for the user."""

from __future__ import annotations

import errno
import os

NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)
_FULL = (errno.ENOSPC, errno.EDQUOT)


def advice(exc: OSError, otherwise: str) -> str:
    """Advice about an error of the system; `otherwise` if its number is not known here."""
    if exc.errno in NO_DESCRIPTORS:
        return out_of_descriptors(exc.errno or 0)
    return "the disk is full: free space and try again" if exc.errno in _FULL else otherwise


def out_of_descriptors(number: int) -> str:
    """Advice if the process, or the machine, has no descriptor left."""
    if number == errno.ENFILE:
        return "the machine has as many files open as it may: close programs, and try again"
    return f"this process has as many files open as it may{_limit()}: close some, or raise that limit, and try again"


def _limit() -> str:
    try:
        import resource  # only here: few programs ever need it
    except ImportError:
        return ""
    return f" ({resource.getrlimit(resource.RLIMIT_NOFILE)[0]}, see `ulimit -n`)"


def lacks_descriptors(count: int) -> int:
    """EMFILE or ENFILE if fewer than `count` files can be opened now; else 0."""
    opened: list[int] = []
    try:
        while len(opened) < count:
            opened.append(os.open(os.devnull, os.O_RDONLY))
    except OSError as exc:
        return exc.errno if exc.errno in NO_DESCRIPTORS else 0
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return 0
