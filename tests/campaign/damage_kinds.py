"""What a disk does to bytes at rest."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import NamedTuple

PAGE = 4096

Span = tuple[int, int]


class Damage(NamedTuple):
    """One damage: to which file, what was done, and where it changed bytes."""

    file: str
    what: str
    spans: list[Span]
    cut: bool = False


def bit(rng: Random, content: bytearray, at: int) -> tuple[str, list[Span]]:
    number = rng.randrange(8)
    content[at] ^= 1 << number
    return f"bit {number} of byte {at} flipped", [(at, at + 1)]


def byte(rng: Random, content: bytearray, at: int) -> tuple[str, list[Span]]:
    new = rng.choice([0, 0xFF, rng.randrange(256)])
    content[at] = new
    return f"byte {at} is {new:#x}", [(at, at + 1)]


def run_of_bytes(rng: Random, content: bytearray, at: int) -> tuple[str, list[Span]]:
    end = min(len(content), at + rng.randrange(2, 40))
    content[at:end] = rng.randbytes(end - at)
    return f"bytes {at} to {end} are random", [(at, end)]


def sector(rng: Random, content: bytearray, at: int) -> tuple[str, list[Span]]:
    size = rng.choice([512, 512, 4096])
    start = at // size * size
    end = min(len(content), start + size)
    content[start:end] = bytes(end - start)
    return f"bytes {start} to {end} are zero", [(start, end)]


def swapped(rng: Random, content: bytearray, at: int) -> tuple[str, list[Span]]:
    one, other = at // PAGE * PAGE, rng.randrange(len(content)) // PAGE * PAGE
    if max(one, other) + PAGE > len(content):
        return sector(rng, content, at)
    content[one : one + PAGE], content[other : other + PAGE] = (
        content[other : other + PAGE],
        content[one : one + PAGE],
    )
    return f"pages at {one} and {other} swapped", [(one, one + PAGE), (other, other + PAGE)]


def truncated(rng: Random, content: bytearray, at: int) -> tuple[str, list[Span]]:
    size = len(content)
    left = rng.choice([at, at // PAGE * PAGE, size - rng.randrange(1, 100)]) % size
    del content[left:]
    return f"cut to {left} bytes of {size}", [(left, size)]


KINDS: list[Callable[[Random, bytearray, int], tuple[str, list[Span]]]] = [
    *[bit] * 8, *[byte] * 4, *[run_of_bytes] * 3, *[sector] * 3, swapped, truncated,
]  # fmt: skip
