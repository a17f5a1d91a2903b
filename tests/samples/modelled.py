"""What both processes of the model test know: a class of the program's own, and functions by name."""

from __future__ import annotations

from typing import Any


class Own:
    """A class that nobody declared: it loads only where a key of ours sealed the record."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Own) and self.items == other.items

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Own({self.items!r})"


def wrapped(value: Any) -> list[Any]:
    return [value]


def unreadable(name: str, error: Exception) -> type[Exception]:
    """What stands in a listing for a record that cannot be read."""
    return type(error)


def change(value: Any, mark: str) -> bool:
    """Change a value in place so that it becomes another one; False if nothing in it can."""
    match value:
        case list():
            value.append(mark)
        case dict():
            value[mark] = mark
        case set():
            value.add(mark)
        case bytearray():
            value += mark.encode()
        case tuple():
            return any(change(item, mark) for item in value)
        case Own():
            value.items.append(mark)
        case _ if hasattr(value, "note"):
            value.note += mark
        case _:
            return False
    return True
