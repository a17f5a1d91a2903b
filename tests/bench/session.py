"""The value that everybody stores: a visitor's session, about 120 bytes when pickled."""

from __future__ import annotations

from typing import Any

PROTOCOL = 5


def session(number: int) -> dict[str, Any]:
    return {
        "user": f"user-{number:07d}",
        "lang": "en",
        "theme": "dark",
        "cart": [number % 97, number % 89],
        "seen": 1_700_000_000.25 + number,
        "csrf": f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}",
    }


def name(number: int) -> str:
    return f"session:{number:07d}"


def pairs(count: int, start: int = 0) -> list[tuple[str, dict[str, Any]]]:
    return [(name(number), session(number)) for number in range(start, start + count)]
