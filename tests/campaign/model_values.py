"""What the model test draws from: names, values, lifetimes, options."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

SAMPLES = str(Path(__file__).parents[1] / "samples")
if SAMPLES not in sys.path:  # pytest has it; the campaign does not
    sys.path.append(SAMPLES)

from buffered import Buffered  # noqa: E402 - only now is it found
from modelled import Own, change, unreadable, wrapped  # noqa: E402, F401

NAMESPACES = ("", "x")
STEP_SECONDS = 0.01  # by which the clock goes on with each step
SPILL_BYTES = 100

few_names = st.sampled_from(["", "a", "b", "\U0010ffff"])  # so that most steps meet a record
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=3)  # what a name may be
names = few_names | few_names | few_names | texts
plain_leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.binary(max_size=20)
    | st.dates()
    | st.datetimes()
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.complex_numbers(allow_nan=False)
    | st.binary(min_size=SPILL_BYTES, max_size=2 * SPILL_BYTES)
)
large = st.binary(min_size=SPILL_BYTES, max_size=2 * SPILL_BYTES).map(bytearray)
leaves = plain_leaves | st.builds(Own, st.lists(st.integers(), max_size=2)) | st.builds(Buffered, large)
keys = st.integers() | st.text(max_size=5) | st.binary(max_size=5) | st.tuples(st.integers(), st.text(max_size=3))
values = st.recursive(
    leaves | st.sets(keys, max_size=3) | st.frozensets(keys, max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(keys, inner, max_size=3)
        | st.binary(max_size=9).map(bytearray)
    ),
    max_leaves=6,
)
ttls = st.sampled_from([None, 1.5 * STEP_SECONDS, 3.5 * STEP_SECONDS, 100])
limits = st.none() | st.integers(0, 3)
handles = st.integers(0, 3)
namespaces = st.sampled_from(NAMESPACES)
options = st.sampled_from([
    {}, {}, {"cache_bytes": 0}, {"spill_bytes": SPILL_BYTES}, {"spill_bytes": SPILL_BYTES, "mmap": False},
    {"durability": "full"}, {"verify_buffers": True, "spill_bytes": SPILL_BYTES},
])  # fmt: skip


def is_plain(value: Any) -> bool:
    """Whether a value has no class of the program's own in it, so that everybody may read it."""
    if isinstance(value, dict):
        return all(map(is_plain, value.values()))
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    return not isinstance(value, Own | Buffered)
