"""What the codec dill can hold, what it cannot, and bytes that are none of its own."""

from __future__ import annotations

import sys
from typing import Any

from hypothesis import strategies as st


class Raises:
    """What an ordinary bug in a class looks like."""

    def __reduce__(self) -> Any:
        raise KeyError("a bug in __reduce__")


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.dates() | st.decimals()
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=5).map(tuple)
        | st.dictionaries(st.integers() | st.text(), inner, max_size=5)
        | st.sets(st.integers() | st.text(), max_size=5)
    ),
    max_leaves=20,
)
never = [(x for x in "x"), sys._getframe(), Raises()]
remedy = "__getstate__"
restrained = False
hostile = [b"", b".", b"\xff\xff", b"\x80\x05]", b"(((", b"\x80\x05\x8e\xff\xff\xff\xff\xff\xff\xff\x7f."]
