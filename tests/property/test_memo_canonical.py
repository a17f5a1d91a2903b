"""Different values have different canonical forms, equal ones the same: on values that nobody thought of."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.memo.canonical.form import canonical

atoms = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.dates(), st.datetimes(),
    st.decimals(allow_nan=False), st.uuids(), st.sampled_from([0, 1, True, False, 1.0, 0.0, -0.0, "", b"", (), "1"]),
)  # fmt: skip
hashables = st.recursive(
    atoms, lambda inner: st.one_of(st.tuples(inner), st.tuples(inner, inner), st.frozensets(inner, max_size=3)), max_leaves=5
)
values = st.recursive(
    hashables,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(hashables, inner, max_size=4), st.sets(hashables, max_size=4)
    ),
    max_leaves=12,
)


def model(value: Any) -> Any:
    """The definition of equality, as something that Python compares and that shares no code with the encoding."""
    kind = type(value).__name__
    if isinstance(value, float):
        return kind, "nan" if value != value else struct.pack("<d", value)
    if isinstance(value, list | tuple):
        return kind, tuple(map(model, value))
    if isinstance(value, set | frozenset):
        return kind, frozenset(map(model, value))
    if isinstance(value, dict):
        return kind, frozenset((model(key), model(one)) for key, one in value.items())
    return kind, repr(value)


def shuffled(value: Any, random: Any) -> Any:
    """An equal value whose dicts and sets were filled in another order."""
    if isinstance(value, list | tuple):
        return type(value)(shuffled(one, random) for one in value)
    if isinstance(value, set | frozenset | dict):
        items = list(value.items()) if isinstance(value, dict) else list(value)
        random.shuffle(items)
        return type(value)(shuffled(one, random) for one in items)
    return value


@settings(max_examples=50, deadline=None)
@given(st.lists(values, max_size=6))
@pytest.mark.slow
def test_forms_are_equal_exactly_where_values_are(some: list[Any]) -> None:
    for one in some:
        for other in some:
            assert (canonical(one) == canonical(other)) == (model(one) == model(other))


@settings(max_examples=50, deadline=None)
@given(values, st.randoms(use_true_random=False))
@pytest.mark.slow
def test_order_of_insertion_makes_no_difference(value: Any, random: Any) -> None:
    assert canonical(shuffled(value, random)) == canonical(value)


@settings(max_examples=50, deadline=None)
@given(values, values)
@pytest.mark.slow
def test_no_form_begins_another(one: Any, other: Any) -> None:
    first, second = canonical(one), canonical(other)
    assert first == second or not (first.startswith(second) or second.startswith(first))
