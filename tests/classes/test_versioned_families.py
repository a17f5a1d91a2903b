"""Versioned classes and their subclasses, other picklers, and what upgraded them."""

from __future__ import annotations

import copy
import pickle as stdlib
from textwrap import dedent
from typing import Any

import pytest

import store
from store import Store
from store.classes import allowlist
from store.classes import versions as evolution


def run(modules: Any, source: str) -> Any:
    return modules.add("app", f"import store\n{dedent(source)}")


def written(modules: Any, expression: str, source: str) -> bytes:
    body: bytes = modules.pickled("app", expression, 5, f"import store\n{dedent(source)}")
    return body


ACCOUNT = """
    @store.versioned({version})
    class Account:
        def __init__(self): self.balance = 1
        @classmethod
        def __upgrade__(cls, state, from_version):
            return {{**state, "balance": state["balance"] * 100}}
"""
FAMILY = """
    @store.versioned({base})
    class Animal:
        def __init__(self): self.legs = 4
        @classmethod
        def __upgrade__(cls, state, from_version):
            return {{**state, "log": [*state.get("log", []), (cls.__name__, from_version)]}}
    {sub}
    class Dog(Animal):
        {methods}
"""


@pytest.mark.parametrize("sub, expected", [("", [("Dog", 1)]), ("@store.versioned(5)", [("Dog", 2)])])
def test_subclass_has_the_version_of_its_base_or_its_own(
    modules: Any, decode: Any, sub: str, expected: list[Any]
) -> None:
    before = "" if not sub else "@store.versioned(2)"
    body = written(modules, "[Dog(), Animal()]", FAMILY.format(base=1, sub=before, methods="pass"))
    app = run(modules, FAMILY.format(base=2, sub=sub, methods="pass"))
    dog, animal = decode(body, None, [app.Dog])
    assert (dog.log, animal.log, dog.legs) == (expected, [("Animal", 1)], 4)


CALLS_SUPER = """
        def __getstate__(self):
            return {**super().__getstate__(), "extra": 1}
        def __setstate__(self, state):
            self.extra = state.pop("extra")
            super().__setstate__(state)
"""


def test_subclass_may_call_the_methods_of_its_versioned_base(modules: Any, decode: Any) -> None:
    source = FAMILY.replace("{methods}", CALLS_SUPER.strip().replace("{", "{{").replace("}", "}}"))
    body = written(modules, "Dog()", source.format(base=1, sub="@store.versioned(1)"))
    app = run(modules, source.format(base=2, sub="@store.versioned(3)"))
    assert vars(decode(body)) == {"legs": 4, "extra": 1, "log": [("Dog", 1)]}
    assert vars(decode(stdlib.dumps(app.Dog()))) == {"legs": 4, "extra": 1}


def test_subclass_that_would_leave_the_version_out_is_told_so(modules: Any) -> None:
    methods = "def __getstate__(self): return super().__getstate__()"
    app = run(modules, FAMILY.format(base=1, sub="", methods=methods))
    with pytest.raises(TypeError, match=r"Dog has a __getstate__.*put @store\.versioned above it too"):
        stdlib.dumps(app.Dog())


def test_versioned_class_is_allowed_and_returned_as_it_is() -> None:
    class Mine:
        pass

    assert store.versioned(1)(Mine) is Mine
    assert allowlist._declared[allowlist.key_of(Mine)] is Mine


def test_versioned_class_travels_through_other_picklers(place: str, modules: Any) -> None:
    pytest.importorskip("cloudpickle", reason="the codec cloudpickle needs its library")
    app = run(modules, ACCOUNT.format(version=1))
    with Store(place, codec="cloudpickle") as s:
        s["a"] = app.Account()
        app = run(modules, ACCOUNT.format(version=2))
        assert s["a"].balance == 100


def test_class_that_cloudpickle_stored_by_value_can_be_written_again(place: str) -> None:
    cloudpickle = pytest.importorskip("cloudpickle", reason="the codec cloudpickle needs its library")

    @store.versioned(1)
    class Local:
        pass

    body = cloudpickle.dumps(Local())
    allowlist._declared.clear()  # as in another program
    found = stdlib.loads(body)
    assert type(stdlib.loads(cloudpickle.dumps(found))).__name__ == "Local"


def test_class_of_a_function_can_be_copied_after_the_function_ran_again() -> None:
    def make() -> Any:
        @store.versioned(1)
        class Local:
            pass

        return Local()

    first, _ = make(), make()
    assert type(copy.copy(first)) is type(first)


def test_upgrades_tells_what_was_upgraded_in_the_block(modules: Any) -> None:
    body = written(modules, "[Account(), Account()]", ACCOUNT.format(version=1))
    run(modules, ACCOUNT.format(version=3))
    with evolution.upgrades() as outer:
        stdlib.loads(body)
        with evolution.upgrades() as inner:
            pass
        stdlib.loads(body)
    stdlib.loads(body)
    assert (outer, inner) == (["app.Account 1 → 3"] * 4, [])
