"""What the codec pickle can hold, what it cannot, and bytes that are none of its own."""

from __future__ import annotations

import pickletools
import threading
from collections import Counter, OrderedDict, deque
from typing import Any

from hypothesis import strategies as st
from shapes import Raises, nested

anything_in_unicode = st.text(st.characters(exclude_categories=()))  # lone surrogates too
text = st.text()


def unfolded(moment: Any) -> Any:
    """Below protocol 4 pickle forgets which of the two hours of a clock change it was."""
    return moment.replace(fold=0)


hashable = (
    st.none() | st.booleans() | st.integers() | st.floats() | anything_in_unicode | st.binary()
    | st.complex_numbers() | st.dates() | st.datetimes().map(unfolded) | st.times().map(unfolded) | st.timedeltas()
    | st.decimals().filter(lambda value: not value.is_snan())
    | st.fractions() | st.uuids() | st.builds(range, st.integers(-9, 9), st.integers(-9, 9))
)  # fmt: skip
leaves = hashable | st.decimals() | st.binary().map(bytearray) | st.builds(slice, st.integers(), st.none())
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=5).map(tuple)
        | st.lists(inner, max_size=5).map(deque)
        | st.sets(hashable, max_size=5)
        | st.frozensets(hashable, max_size=5)
        | st.dictionaries(hashable, inner, max_size=5)
        | st.dictionaries(text, inner, max_size=5).map(OrderedDict)
        | st.lists(text, max_size=5).map(Counter)
    ),
    max_leaves=25,
)


never = [lambda: None, threading.Lock(), (x for x in "x"), Raises(), nested(100_000)]
remedy = "__getstate__"

# All that can be told apart without a name; with one, a stream could change the classes of this very process.
OPCODES = [
    op.code.encode("latin-1") for op in pickletools.opcodes if op.name not in ("GLOBAL", "STACK_GLOBAL", "INST")
]
programs = st.lists(st.sampled_from(OPCODES) | st.binary(max_size=4) | st.sampled_from([b"1\n", b"\x01", b"(", b"."])).map(
    lambda parts: b"\x80\x05" + b"".join(parts) + b"."
)
truncation_is_always_found = True  # every pickle ends in its STOP

LENGTHS = [n.to_bytes(8, "little") for n in (2**31, 2**40, 2**46, 2**63 - 1, 2**63, 2**64 - 1)]
refused = [
    b"", b"\x80", b"\x80\x06.", b"\x80\xff.", b"N", b".", b"0.", b"(.", b"t.", b"Pid\n.", b"N\x51.", b"h\x01.",
    b"I" + b"9" * 5000 + b"\n.", b"S'a\n.", b"F.\n.", b"]N\x61\x81.", b"\x82\x01.", b"\x84\xff\xff\xff\x7f.",
    b"\x97.", b"N\x98.", b"]" * 200_000, b"(" * 200_000, b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\xff.",
    *(code + length + b"." for length in LENGTHS for code in (b"\x8d", b"\x8e", b"\x96", b"\x95")),
    *(code + b"\xff\xff\xff\x7f" for code in (b"T", b"X", b"B", b"\x8b")),
]  # fmt: skip
