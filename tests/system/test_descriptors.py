"""A descriptor is closed with its object, whatever strikes on the way."""

from __future__ import annotations

import os
import sys
from types import FrameType
from typing import Any

import pytest

from store.system.descriptors import Descriptor


def test_is_open_until_it_is_closed():
    with Descriptor(os.devnull, os.O_RDONLY) as number:
        os.fstat(number)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)


def test_is_closed_once():
    descriptor = Descriptor(os.devnull, os.O_RDONLY)
    number = descriptor.number
    descriptor.close()
    other = os.open(os.devnull, os.O_RDONLY)  # has the number now
    assert other == number
    descriptor.close()
    del descriptor
    os.close(other)


def test_is_closed_with_its_object():
    descriptor = Descriptor(os.devnull, os.O_RDONLY)
    number = descriptor.number
    del descriptor
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)


def test_finalizer_calls_no_function_that_an_interrupt_could_enter():
    """CPython looks for signals at the entry of each function of Python."""
    descriptor = Descriptor(os.devnull, os.O_RDONLY)
    number = descriptor.number

    def interrupted(frame: FrameType, event: str, arg: Any) -> None:
        if event == "call" and frame.f_code.co_name != "__del__":
            raise KeyboardInterrupt

    before = sys.getprofile()
    sys.setprofile(interrupted)
    try:
        del descriptor
    finally:
        sys.setprofile(before)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)


def test_finalizer_of_a_file_that_could_not_be_opened_is_quiet(tmp_path):
    for _ in range(2):  # an error in a finalizer is a warning, which fails the test
        with pytest.raises(FileNotFoundError):
            Descriptor(tmp_path / "missing", os.O_RDONLY)
    Descriptor.__new__(Descriptor)


@pytest.mark.parametrize("moment", range(4))
def test_is_closed_where_there_is_no_memory_left(moment):
    memory = pytest.importorskip("_testcapi")
    descriptor = Descriptor(os.devnull, os.O_RDONLY)
    number = descriptor.number
    try:
        memory.set_nomemory(moment)  # none from that call of the allocator on
        try:
            descriptor.close()
        finally:
            del descriptor
            memory.remove_mem_hooks()
    except MemoryError:
        pass
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)
