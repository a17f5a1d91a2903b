"""What stands for classes that are gone: it shows them, and is written back as what it stands for."""

from __future__ import annotations

import pickle as stdlib
import pickletools
from itertools import product
from textwrap import dedent
from typing import Any

import pytest

import store
from store.codecs import pickle

PROTOCOLS = range(6)

MORE = """
    class WithArguments:
        def __new__(cls, *args, **named):
            self = object.__new__(cls)
            self.got = args, named
            return self
        def __eq__(self, other):
            return type(self) is type(other) and vars(self) == vars(other)
        __hash__ = None

    class ByName(WithArguments):
        def __getnewargs_ex__(self): return (1,), {"b": 2}

    class ByPosition(WithArguments):
        def __getnewargs__(self): return (1, "two")

    class ByCall(WithArguments):
        def __reduce__(self): return (ByCall, (1,))

    class ByFunction(WithArguments):
        def __reduce__(self): return (make, (1,), {"x": 2})

    class ByMethod(WithArguments):
        def __reduce__(self): return (ByMethod.make, (1,))
        @classmethod
        def make(cls, x): return cls(x)

    class Several(WithArguments):
        def __reduce__(self): return (Several, (), None, iter([1, 2]), iter([("a", 3)]))
        def append(self, item): vars(self).setdefault("items", []).append(item)
        def __setitem__(self, key, item): vars(self).setdefault("pairs", []).append((key, item))

    class OddState(WithArguments):
        def __getstate__(self): return 7, "x"
        def __setstate__(self, state): self.got = state

    class NoState(Same):
        def __getstate__(self): return None

    class Number(int):
        pass

    class Text(str):
        pass

    class Held(tuple):
        pass

    class Bound(WithArguments):
        def method(self): return 1

    def make(x):
        return ByFunction(x)

    def ring():
        a = User("Ada")
        a.friends = [a, {"b": a}]
        return a

    def deep():
        item = Row()
        item.append((item, Bag(x=item)))
        item.self = item
        return item
"""

KINDS = {
    "class": "User('Ada')", "nested": "Outer.Inner('Ada')", "enum": "Color.RED", "namedtuple": "Point(1, [2])",
    "exception": "Broken('a', 1)", "dataclass": "Item('a', [2])", "list": "Row('ab')", "dict": "Bag(a=1)",
    "function": "shout", "itself": "User", "nested itself": "Outer.Inner.Innermost",
    "by name": "ByName(1, b=2)", "by position": "ByPosition()", "by call": "ByCall()", "by function": "ByFunction()",
    "by method": "ByMethod()", "several": "Several()", "odd state": "OddState()", "no state": "NoState()",
    "number": "Number(7)", "text": "Text('a')", "tuple": "Held((1, 2))", "ring": "ring()", "deep": "deep()",
    "method": "Bound().method", "frozen": "Fixed('a')", "slots": "Slotted('a')",
}  # fmt: skip
CYCLIC = ("ring", "deep")
WRAPPED = ["{}", "[{0}, {0}]", "{{'a': ({}, 1)}}", "[('name', 'self', 'friends'), {}]"]


@pytest.fixture
def source(modules: Any) -> str:
    """The source of the module that goes away."""
    return f"{dedent(modules.source)}\n{dedent(MORE)}"


def protocols_of(kind: str) -> range:
    """Below protocol 2 pickle itself writes no slots, and no list that holds itself and has a class."""
    return PROTOCOLS[2:] if kind in ("frozen", "slots", "deep") else PROTOCOLS


def again(value: Any, protocol: int) -> bytes:
    return pickle.codec.encode(value, protocol)


@pytest.mark.parametrize("kind", KINDS)
def test_untouched_value_is_written_byte_for_byte(modules: Any, gone: Any, source: str, kind: str) -> None:
    for protocol in protocols_of(kind):
        for wrapped in WRAPPED:
            body = modules.pickled("old.mod", wrapped.format(KINDS[kind]), protocol, source)
            value = gone(body)
            assert "placeholder for" in repr(value) and "old.mod." in repr(value)
            assert again(value, protocol) == body
            optimized = pickletools.optimize(body)
            assert again(gone(optimized), protocol) == optimized


@pytest.mark.parametrize("kind", KINDS)
def test_touched_value_is_the_true_object_once_the_class_is_back(
    modules: Any, gone: Any, source: str, kind: str
) -> None:
    for protocol, other in product(protocols_of(kind), protocols_of(kind)):
        value = gone(modules.pickled("old.mod", f"[{KINDS[kind]}]", protocol, source))
        value.append("touched")
        body = again(value, other)
        assert b"placeholder" not in body and b"StandIn" not in body
        old = modules.add("old.mod", source)
        found, touched = stdlib.loads(body)
        expected = stdlib.loads(stdlib.dumps(eval(KINDS[kind], vars(old)), max(protocol, 2)))
        assert touched == "touched"
        assert type(found) is type(expected)
        if kind in CYCLIC:
            assert (found.friends[0] if kind == "ring" else found.self) is found
        elif kind == "method":
            assert (found.__func__, found.__self__) == (expected.__func__, expected.__self__)
        else:
            assert found == expected
        modules.remove("old")


def test_placeholder_shows_class_arguments_and_state(modules: Any, gone: Any, source: str) -> None:
    def shown(expression: str, protocol: int = 5) -> str:
        return repr(gone(modules.pickled("old", expression, protocol, source)))

    assert shown("User('Ada')") == "<placeholder for old.User, state {'name': 'Ada'}>"
    assert shown("User") == "<placeholder for the class old.User>"
    assert shown("Outer.Inner", 2) == "<placeholder for the class old.Outer.Inner>"
    assert shown("ByCall()") == "<placeholder for old.ByCall, args (1,)>"
    assert "args (1,), named_args {'b': 2}" in shown("ByName(1, b=2)")
    assert "list_items [1, 2], dict_items {'a': 3}" in shown("Several()")
    assert shown("ring()").count("<placeholder …>") == 2
    assert shown("Slotted('a')") == "<placeholder for old.Slotted, state (None, {'name': 'a'})>"


def test_placeholder_has_what_it_was_made_of(modules: Any, gone: Any, source: str) -> None:
    found = gone(modules.pickled("old", "ByFunction()", 5, source))
    assert isinstance(found, store.Placeholder)
    assert (found.class_name, found.args, found.named_args, found.state) == ("old.make", (1,), {}, {"x": 2})
    user = gone(modules.pickled("old", "User('Ada')", 5, source))
    assert isinstance(user, store.Placeholder) and user.state == {"name": "Ada"}
    assert not isinstance(found, type(user))
