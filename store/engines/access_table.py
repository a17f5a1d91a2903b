"""Notes of the uses of records in a table of fixed size, which many processes may share.

A note is a word of 8 bytes, so that it is written by one assignment and is never half old: 24 bits of the hash of the
record's name, the time of its last use in 1/16 s (32 bits, so that it repeats after 8.5 years), and its frequency. A
record has two slots to choose from, side by side. If both have notes of other records, the older one is replaced, or
where uses are counted, the less frequent one: so records that are used often keep theirs where others come and go.

The frequency is the logarithmic counter of Redis ("LFU mode" in
https://redis.io/docs/latest/develop/reference/eviction/; `LFULogIncr` and `LFUDecrAndReturn` in its evict.c), after
R. Morris, "Counting large numbers of events in small registers", 1978: a new record has 5, a use adds 1 with a
probability that falls with the counter, and each minute that begins without a use takes 1 away.

The figures are counters for each process by the remainder of its number, so that processes seldom share one; those of
the last reset are subtracted. Pure: it works on any buffer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from random import random
from typing import Any
from zlib import crc32

from store.engines.capabilities import Figures, Use
from store.system import forking

STRIPES = 256
_COUNTERS = 3  # hits, misses, evictions
COUNTER_BYTES = 8192  # of the stripes, those of the last reset, and zeros up to whole pages
SLOT_BYTES = 8
MIN_SLOTS, MAX_SLOTS = 2**10, 2**22

TICKS = 16  # of a second
_WRAP = 2**32  # ticks
_MINUTE = 60 * TICKS
_TAG_SHIFT, _TIME_SHIFT = 40, 8
_TAG_OF_HASH = 8  # the tag is the upper 24 bits of the hash; the lower ones choose the slot

FIRST_FREQUENCY = 5  # LFU_INIT_VAL
LOG_FACTOR = 10  # lfu-log-factor
MAX_FREQUENCY = 255


def slots_for(records: int) -> int:
    """The number of slots for about that many records: a power of two, at least twice as many within the bounds."""
    return min(MAX_SLOTS, max(MIN_SLOTS, 1 << (2 * records - 1).bit_length())) if records > 0 else MIN_SLOTS


def size_for(slots: int) -> int:
    """The bytes of a table of that many slots."""
    return COUNTER_BYTES + slots * SLOT_BYTES


def seed_of(namespace: str) -> int:
    """The seed of the hashes of a namespace's names, equal in all processes."""
    encoded = namespace.encode("utf-8", "surrogatepass")
    return crc32(b"%d:" % len(encoded) + encoded)


class AccessTable:
    """The contract `Accesses`, in a buffer of `size_for` bytes.

    `frequencies`: whether uses are counted. `writable` False: nothing is noted.
    """

    def __init__(
        self, buffer: Any, namespace: str, now: Callable[[], float], *, frequencies: bool, writable: bool = True
    ) -> None:
        view = memoryview(buffer)
        self._counters = view[:COUNTER_BYTES].cast("Q")
        self._slots = view[COUNTER_BYTES:].cast("Q")
        self._seed = seed_of(namespace)
        self._now = now
        self._is_writable = writable
        note = _nothing if not writable else self._counting() if frequencies else self._timing()
        self.note: Callable[[str], None] = note

    def uses(self, names: Sequence[str]) -> list[Use | None]:
        now = self._now()
        return [self._use(name, now) for name in names]

    def count(self, *, hits: int = 0, misses: int = 0, evictions: int = 0) -> None:
        if self._is_writable:
            counters, place = self._counters, _stripe[0] * _COUNTERS
            # Without a lock, which a fork or a signal handler could find locked: it would only save a few of them.
            if hits:
                counters[place] = counters[place] + hits & _LARGEST
            if misses:
                counters[place + 1] = counters[place + 1] + misses & _LARGEST
            if evictions:
                counters[place + 2] = counters[place + 2] + evictions & _LARGEST

    def figures(self) -> Figures:
        counters, end = self._counters, STRIPES * _COUNTERS
        sums = [sum(counters[number:end:_COUNTERS]) - counters[end + number] for number in range(_COUNTERS)]
        return Figures(*[max(0, each) for each in sums])

    def reset(self) -> None:
        if self._is_writable:
            counters, end = self._counters, STRIPES * _COUNTERS
            for number in range(_COUNTERS):
                counters[end + number] = sum(counters[number:end:_COUNTERS]) & _LARGEST

    def flush(self) -> None:
        """Does nothing: all processes see the same memory."""

    def close(self) -> None:
        """Stop noting. The buffer is freed with the last reference to `note`, which another thread may be in."""
        self._is_writable = False
        self.note = _nothing
        self._counters, self._slots = (memoryview(bytes(size)).cast("Q") for size in (COUNTER_BYTES, 2 * SLOT_BYTES))

    def _timing(self) -> Callable[[str], None]:
        """A `note` that writes only the time."""
        slots, seed, now, mask = self._slots, self._seed, self._now, len(self._slots) - 1

        def note(name: str) -> None:
            mark = crc32(name.encode("utf-8", "surrogatepass"), seed)
            tag, place, ticks = mark >> _TAG_OF_HASH, mark & mask, int(now() * TICKS)
            if slots[place] >> _TAG_SHIFT != tag:
                place = _other(slots, place, tag, ticks, _age)
            slots[place] = tag << _TAG_SHIFT | ticks % _WRAP << _TIME_SHIFT | FIRST_FREQUENCY

        return note

    def _counting(self) -> Callable[[str], None]:
        """A `note` that writes time and frequency."""
        slots, seed, now, mask = self._slots, self._seed, self._now, len(self._slots) - 1

        def note(name: str) -> None:
            mark = crc32(name.encode("utf-8", "surrogatepass"), seed)
            tag, place, ticks = mark >> _TAG_OF_HASH, mark & mask, int(now() * TICKS)
            word = slots[place]
            if word >> _TAG_SHIFT != tag:
                place = _other(slots, place, tag, ticks, _rarity)
                word = slots[place]
            frequency = FIRST_FREQUENCY
            if word and word >> _TAG_SHIFT == tag:
                frequency = _faded(word, ticks)
                if frequency < MAX_FREQUENCY:
                    over = max(0, frequency - FIRST_FREQUENCY)
                    frequency += random() * (over * LOG_FACTOR + 1) < 1
            slots[place] = tag << _TAG_SHIFT | ticks % _WRAP << _TIME_SHIFT | frequency

        return note

    def _use(self, name: str, now: float) -> Use | None:
        slots = self._slots
        mark = hash_of(self._seed, name)
        place = mark & len(slots) - 1
        return use_of((slots[place], slots[place ^ 1]), mark, now)


def hash_of(seed: int, name: str) -> int:
    """The hash of a name, 32 bits, from which its tag and its slots come."""
    return crc32(name.encode("utf-8", "surrogatepass"), seed)


def use_of(words: Sequence[int], mark: int, now: float) -> Use | None:
    """The use of the record of that hash, by the words in its two slots; None: neither is of it."""
    for word in words:
        if word and word >> _TAG_SHIFT == mark >> _TAG_OF_HASH:
            ticks = int(now * TICKS)
            return Use((ticks - _age(word, ticks)) / TICKS, _faded(word, ticks))
    return None


def _other(slots: Any, place: int, tag: int, ticks: int, lesser: Callable[[int, int], Any]) -> int:
    """The slot for a record that is not in its first one: its own, an empty one, or that of the lesser note."""
    first, second = slots[place], slots[place ^ 1]
    if second and second >> _TAG_SHIFT == tag:
        return place ^ 1
    if not first or (second and lesser(first, ticks) >= lesser(second, ticks)):
        return place
    return place ^ 1


def _rarity(word: int, ticks: int) -> tuple[int, int]:
    """Greater for a note that is used less often; of two that are equal in that, for the older one."""
    return -_faded(word, ticks), _age(word, ticks)


def _age(word: int, ticks: int) -> int:
    """The ticks since that use; less than 0 if the clock was set back meanwhile."""
    age = (ticks - (word >> _TIME_SHIFT)) % _WRAP
    return age if age < _WRAP // 2 else age - _WRAP


def _faded(word: int, ticks: int) -> int:
    """The frequency now: 1 less for each minute that has begun since the last use."""
    frequency, age = word & MAX_FREQUENCY, _age(word, ticks)
    if age <= 0:
        return frequency
    return max(0, frequency - (ticks // _MINUTE - (ticks - age) // _MINUTE))


def _nothing(name: str) -> None:
    """A `note` where none can be kept."""


_LARGEST = 2**64 - 1
_stripe = [os.getpid() % STRIPES]  # of this process


def _after_fork_in_child() -> None:
    _stripe[0] = os.getpid() % STRIPES


forking.register(forking.Stage.ENGINES, in_child=_after_fork_in_child)
