"""The search for the part that cannot be encoded: circles and cost."""

from __future__ import annotations

import itertools
import threading
from typing import Any

import pytest
from holders import Held, found
from hypothesis import given, settings
from hypothesis import strategies as st

from store.values import culprit as culprit_module
from store.values.remedies import explain

LOCK = threading.Lock()
WIDE = 50_000


# Circles


def test_child_that_knows_its_parent_is_not_the_culprit() -> None:
    parent = Held()
    parent.child = Held(parent=parent)
    parent.children = [Held(parent=parent, sibling=parent.child)]
    parent.problem = LOCK
    assert found(parent).path == "value.problem"
    assert found({"a": [parent.child]}).path == "value['a'][0].parent.problem"


def test_list_that_contains_itself() -> None:
    loop: list[Any] = []
    loop += [loop, {"loop": loop}, (1, LOCK), loop]
    assert found(loop).path == "value[2][1]"
    assert found([loop, loop]).path == "value[0][2][1]"


def test_one_child_of_many_that_all_know_their_parent() -> None:
    parent = Held()
    parent.children = [Held(parent=parent, number=[n]) for n in range(1000)]
    parent.children[777].problem = LOCK
    assert found(parent).path == "value.children[777].problem"


def test_culprit_beside_many_children_that_all_know_their_parent() -> None:
    parent = Held()
    parent.children = [Held(parent=parent, number=[n]) for n in range(200)]
    parent.problem = LOCK
    assert found(parent).path == "value.problem"


def test_linked_list_is_not_walked_link_by_link() -> None:
    links = [Held(number=[n]) for n in range(60)]
    for this, following in itertools.pairwise(links):
        this.following, following.before = following, this
    links[50].problem = LOCK
    assert found(links).path == "value[50].problem"


@given(st.integers(2, 30), st.data())
@settings(max_examples=100, deadline=None)
@pytest.mark.slow
def test_culprit_in_a_random_graph_is_reached_by_its_path(size: int, data: st.DataObject) -> None:
    nodes = [Held(links=[]) for _ in range(size)]
    for n in range(1, size):
        nodes[data.draw(st.integers(0, n - 1))].links.append(nodes[n])
    for here, there in data.draw(st.lists(st.tuples(st.sampled_from(nodes), st.sampled_from(nodes)), max_size=40)):
        here.links.append(there)
    culprit_of = data.draw(st.sampled_from(nodes))
    culprit_of.problem = LOCK
    culprit = found(nodes[0])
    assert culprit.path.endswith(".problem")
    assert eval(culprit.path, {"value": nodes[0]}) is LOCK
    assert eval(culprit.path.removesuffix(".problem"), {"value": nodes[0]}) is culprit_of


# Cost


@pytest.mark.parametrize("at", [0, 1, WIDE // 2 + 1, WIDE - 1])
@pytest.mark.slow
def test_wide_container_costs_a_few_times_its_size(at: int) -> None:
    wide: list[Any] = [[n] for n in range(WIDE)]
    wide[at] = [LOCK]
    assert found({"x": wide}).path == f"value['x'][{at}][0]"


def test_wide_dict_of_plain_values_costs_a_few_times_its_size() -> None:
    wide: dict[int, Any] = dict.fromkeys(range(WIDE), 0)
    wide[WIDE - 1] = LOCK
    assert found(wide).path == f"value[{WIDE - 1}]"


def test_first_of_many_culprits_costs_no_more() -> None:
    assert found([threading.Lock() for _ in range(10_000)]).path == "value[0]"


def nested(innermost: Any, depth: int) -> Any:
    value = innermost
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.slow
def test_deep_and_wide_costs_its_size_per_level() -> None:
    """Each level has a thousand items beside the way down."""
    depth, width = 40, 1000
    value: Any = LOCK
    for _ in range(depth):
        value = [*([n] for n in range(width)), value]
    assert found(value).path == "value" + f"[{width}]" * depth


@pytest.mark.parametrize("depth", [70, 80, 81, 400])
def test_search_in_deep_values(depth: int) -> None:
    culprit = found([nested([1], depth), {"x": nested(LOCK, depth)}])
    assert culprit.value is LOCK
    assert culprit.path == "value[1]['x']" + "[0]" * depth
    assert len(explain(culprit)) < 300


def test_value_that_nests_too_deep_is_not_searched() -> None:
    value = nested(LOCK, 100_000)
    culprit = found(value)
    assert culprit.value is value
    assert explain(culprit) == "value: nests too deep to be encoded"


def test_search_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(culprit_module, "MOST_PARTS", 100)
    assert found([*range(50), LOCK]).path == "value[50]"
    assert found([*range(150), LOCK]).path == "value"
