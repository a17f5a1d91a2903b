"""Values of a certain shape, for the tests of every codec."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st


class Text(str):
    """A str, and not quite: a format of plain data would give back a plain one."""


class Raises:
    """What an ordinary bug in a class looks like: its own error, of a kind that callers have other uses for."""

    def __reduce__(self) -> Any:
        raise KeyError("a bug in __reduce__")


def nested(depth: int) -> list[Any]:
    """Lists in lists."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def cyclic() -> list[Any]:
    """A list that holds itself."""
    value: list[Any] = []
    value.append(value)
    return value


_leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.dates() | st.decimals()
python_values = st.recursive(
    _leaves,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=5).map(tuple)
        | st.dictionaries(st.integers() | st.text(), inner, max_size=5)
        | st.sets(st.integers() | st.text(), max_size=5)
    ),
    max_leaves=20,
)
"""What every codec holds whose bodies are pickles; `pickle`'s own cases go further."""

NO_PICKLES = [b"", b".", b"\xff\xff", b"\x80\x05]", b"(((", b"\x80\x05\x8e\xff\xff\xff\xff\xff\xff\xff\x7f."]
