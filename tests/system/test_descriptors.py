"""A descriptor is closed with its object, whatever strikes on the way."""

from __future__ import annotations

import os

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
