"""Culprits in what codecs store by value, and in random nests of everything, with real codecs."""

from __future__ import annotations

import re
import socket
from abc import ABC
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from holders import (  # isort: skip
    LOCK, PROBLEM, PROTOCOLS, Data, Held, ListLike, MakesArguments, MakesState, Pair, Reduced, Slots, WithState,
    found,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

# Codecs that store functions and classes by value

BY_VALUE = ("cloudpickle", "dill")


@pytest.fixture(params=BY_VALUE)
def by_value(request: pytest.FixtureRequest) -> str:
    pytest.importorskip(request.param, reason=f"{request.param} is not installed: its paths are untested")
    return str(request.param)


def using_a_global() -> Any:
    return lambda: [PROBLEM for _ in ()]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_path_into_a_function(by_value: str, protocol: int) -> None:
    def enclosing(held: Any) -> Any:
        return lambda: held

    def with_defaults(a: Any = 1, b: Any = PROBLEM, *, c: Any = 1) -> None: ...
    def with_named(a: Any = 1, *, c: Any = PROBLEM) -> None: ...

    assert found({"f": enclosing([PROBLEM])}, protocol, by_value).path == "value['f'].__closure__['held'][0]"
    assert found([enclosing(enclosing(PROBLEM))], protocol, by_value).value is PROBLEM
    assert found([with_defaults], protocol, by_value).path == "value[0].__defaults__[1]"
    assert found([with_named], protocol, by_value).path == "value[0].__kwdefaults__['c']"
    with_named.__kwdefaults__.clear()
    with_named.attribute = [PROBLEM]  # type: ignore[attr-defined]
    assert found([with_named], protocol, by_value).path == "value[0].attribute[0]"


def test_path_to_a_global_that_a_function_uses() -> None:
    pytest.importorskip("cloudpickle", reason="cloudpickle is not installed: its paths are untested")
    culprit = found([using_a_global()], 5, "cloudpickle")
    assert culprit.path == "value[0].__globals__['PROBLEM']"
    assert culprit.value is PROBLEM


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_path_into_a_class(by_value: str, protocol: int) -> None:
    def enclosing(held: Any) -> Any:
        class Local(ABC):  # noqa: B024
            __slots__ = ("x",)
            attribute = MappingProxyType({"a": 1})
            problem = held

        return Local

    culprit = found([enclosing(PROBLEM)()], protocol or 2, by_value)
    assert culprit.path == "value[0].__class__.problem"
    assert found(enclosing([1, PROBLEM]), protocol, by_value).path == "value.problem[1]"


def test_path_into_a_method_that_its_name_gives_otherwise(by_value: str) -> None:
    def with_static(held: Any) -> Any:
        class Local:
            @staticmethod
            def static() -> Any:
                return held

        return Local

    def with_property(held: Any) -> Any:
        class Local:
            @property
            def computed(self) -> Any:
                return held

        return Local

    path = "value.__dict__['static'].__func__.__closure__['held']"
    assert found(with_static(PROBLEM), 5, by_value).path == path
    assert found(with_property(PROBLEM), 5, by_value).path == "value.__dict__['computed'].fget.__closure__['held']"


# Random nests


def content(function: Any) -> Any:
    return function.__closure__[0].cell_contents


def only(container: Any) -> Any:
    (member,) = container
    return member


# What of a path is no Python: a closure, a member, a key. Each is made a call on all that is left of it.
NOT_PYTHON = re.compile(r"\.__closure__\['held'\]|\.(?:member|key)\(<[\w.]+\.Held object>\)")


def reach(path: str, value: Any) -> Any:
    """What a path leads to."""
    expression, end = "", 0
    for step in NOT_PYTHON.finditer(path):
        function = "content" if "closure" in step[0] else "only"
        expression, end = f"{function}({expression}{path[end : step.start()]})", step.end()
    return eval(expression + path[end:], {"value": value, "content": content, "only": only})



class Layer(NamedTuple):
    wrap: Callable[[Any, Any], Any]  # what is inside, and something harmless beside it
    step: str


def closure(held: Any, beside: Any) -> Any:
    return lambda: held


HELD = f"<{Held.__module__}.Held object>"
LAYERS = {
    "dict": Layer(lambda x, beside: {0: beside, "k": x, "z": beside}, "['k']"),
    "list": Layer(lambda x, beside: [beside, x, beside], "[1]"),
    "tuple": Layer(lambda x, beside: (beside, beside, x), "[2]"),
    "deque": Layer(lambda x, beside: deque([beside, x]), "[1]"),
    "attribute": Layer(lambda x, beside: Held(x, beside=beside), ".held"),
    "dataclass": Layer(Data, ".held"),
    "state": Layer(lambda x, beside: WithState(x, beside=beside), ".held"),
    "made state": Layer(lambda x, beside: MakesState(Held(x)), ".held.held"),
    "reduce": Layer(lambda x, beside: Reduced(x), ".held"),
    "arguments": Layer(lambda x, beside: MakesArguments(x), ".__reduce__()[1][1][1][0]"),
    "named tuple": Layer(Pair, ".left"),
    "list's class": Layer(lambda x, beside: ListLike([beside, x]), "[1]"),
    "set": Layer(lambda x, beside: {Held(x, beside=beside)}, f".member({HELD}).held"),
    "key": Layer(lambda x, beside: {Held(x): beside}, f".key({HELD}).held"),
    "partial": Layer(lambda x, beside: partial(print, beside, x), ".args[1]"),
    "slots": Layer(Slots, ".held"),
    "closure": Layer(closure, ".__closure__['held']"),
}
CULPRITS = {"pickle": ("lock", "lambda", "socket"), "cloudpickle": ("socket", "generator"), "dill": ("socket", "generator")}
HARMLESS = st.sampled_from([0, "text", None]) | st.builds(list, st.lists(st.integers(), max_size=3)) | st.builds(
    lambda: Held({"x": [1, Data(2)]})
)  # fmt: skip


@pytest.fixture(params=sorted(CULPRITS))
def codec(request: pytest.FixtureRequest) -> str:
    pytest.importorskip(request.param, reason=f"{request.param} is not installed: its paths are untested")
    return str(request.param)


@pytest.fixture(scope="module")
def problems() -> Iterator[dict[str, Any]]:
    with closing(socket.socket()) as open_socket:
        yield {"lock": LOCK, "lambda": lambda: 1, "socket": open_socket, "generator": PROBLEM}


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.slow
def test_path_in_a_random_nest(codec: str, problems: dict[str, Any], data: st.DataObject) -> None:
    protocol = data.draw(st.sampled_from(PROTOCOLS))
    unfit = {"slots"} if protocol < 2 else set()
    unfit |= {"closure"} if codec == "pickle" else set()
    names = data.draw(st.lists(st.sampled_from(sorted(set(LAYERS) - unfit)), max_size=7))
    problem = problems[data.draw(st.sampled_from(CULPRITS[codec]))]
    value, path = problem, ""
    for name in names:
        value, path = LAYERS[name].wrap(value, data.draw(HARMLESS)), LAYERS[name].step + path
    culprit = found(value, protocol, codec)
    assert culprit.path == "value" + path
    assert culprit.value is problem
    assert reach(culprit.path, value) is problem
