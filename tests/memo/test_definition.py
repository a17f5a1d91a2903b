"""What a memoized function is, as part of its keys: its code, and what it uses beside its arguments."""

from __future__ import annotations

import functools
import importlib
import linecache
import operator
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from store import Store
from store.memo import memo
from store.memo.canonical.form import Definition

HEAD = """
import functools, math, os.path as paths
from contextlib import contextmanager
from decimal import Decimal
from enum import Enum
"""


@pytest.fixture
def s(path: Path) -> Iterator[Store[Any]]:
    with Store[Any](path) as opened:
        yield opened


Import = Callable[[str], ModuleType]


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Import:
    """Imports a text as the module `program`, each time anew."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def load(text: str) -> ModuleType:
        (tmp_path / "program.py").write_text(HEAD + textwrap.dedent(text))
        sys.modules.pop("program", None)
        linecache.clearcache()
        importlib.invalidate_caches()
        return importlib.import_module("program")

    monkeypatch.setitem(sys.modules, "program", ModuleType("program"))  # so that it is removed in the end
    return load


def form(fn: Any) -> bytes:
    return Definition(fn, "f", lenient=False).form()


def compiled(text: str) -> Any:
    """The function f of a text that is in no file."""
    variables: dict[str, Any] = {"__name__": "nowhere"}
    exec(compile(textwrap.dedent(text), "<nowhere>", "exec", dont_inherit=True), variables)
    return variables["f"]


SAME = {
    "docstring, comments, layout": (
        "def f(x):\n    return x + 1",
        'def f(x):\n    """Says so."""\n\n    # why\n    return (x   +\n        1)',
    ),
    "docstring of what is inside": (
        "def f(x):\n    def g(): return x\n    return g()",
        "def f(x):\n    def g():\n        'It.'\n        return x\n    return g()",
    ),
    "place in the file": ("def f(x): return x", "\n\n\nOTHER = 1\ndef g(): pass\ndef f(x): return x"),
    "decorator": ("def f(x): return x", "def g(fn): return fn\n@g\ndef f(x): return x"),
    "what is not used": ("RATE = 1\ndef g(): return 1\ndef f(x): return x", "RATE = 2\ndef g(): return 2\ndef f(x): return x"),
    "order of the module": (
        "RATE = 1\ndef g(): return RATE\ndef f(x): return g()",
        "def f(x): return g()\ndef g(): return RATE\nRATE = 1",
    ),
    "set as constant": ("def f(x): return x in {'a', 'b', 'c'}", "def f(x): return x in {'a', 'b', 'c'}"),
    "mutable object of the module": ("DATA = [1]\ndef f(x): return DATA", "DATA = [2]\ndef f(x): return DATA"),
    "counter of the module": (
        "N = 1\ndef f(x):\n    global N\n    N += 1\n    return x", "N = 7\ndef f(x):\n    global N\n    N += 1\n    return x",
    ),
    "recursion": ("def f(x): return x and f(x - 1)", "def f(x): return x and f(x - 1)"),
    "functions that call each other": (
        "def f(x): return g(x)\ndef g(x): return f(x)", "def g(x): return f(x)\ndef f(x): return g(x)",
    ),
    "module": ("import json as j\ndef f(x): return j.dumps(x)", "import json as j\nimport math\ndef f(x): return j.dumps(x)"),
}  # fmt: skip

DIFFERENT = {
    "expression": ("def f(x): return x + 1", "def f(x): return x - 1"),
    "constant": ("def f(x): return x + 1", "def f(x): return x + 1.0"),
    "inner function": (
        "def f(x):\n    def g(): return 1\n    return g()", "def f(x):\n    def g(): return 2\n    return g()",
    ),
    "inner default": (
        "def f(x):\n    def g(a=1): return a\n    return g()", "def f(x):\n    def g(a=2): return a\n    return g()",
    ),
    "list in a comprehension": ("def f(x): return ['a' for _ in x]", "def f(x): return ['b' for _ in x]"),
    "lambda inside": ("def f(x): return (lambda: 'a')()", "def f(x): return (lambda: 'b')()"),
    "constant of the module": ("RATE = 1\ndef f(x): return RATE", "RATE = 2\ndef f(x): return RATE"),
    "type of a constant": ("RATE = 1\ndef f(x): return RATE", "RATE = 1.0\ndef f(x): return RATE"),
    "tuple": ("RATES = (1, (2,))\ndef f(x): return RATES", "RATES = (1, (3,))\ndef f(x): return RATES"),
    "decimal": ("RATE = Decimal('1')\ndef f(x): return RATE", "RATE = Decimal('2')\ndef f(x): return RATE"),
    "member of an enum": (
        "class L(Enum): A = 1\nLOW = L.A\ndef f(x): return LOW", "class L(Enum): A = 2\nLOW = L.A\ndef f(x): return LOW",
    ),
    "constant read inside": ("RATE = 1\ndef f(x): return (lambda: RATE)()", "RATE = 2\ndef f(x): return (lambda: RATE)()"),
    "helper": ("def g(): return 1\ndef f(x): return g()", "def g(): return 2\ndef f(x): return g()"),
    "helper of a helper": (
        "def h(): return 1\ndef g(): return h()\ndef f(x): return g()", "def h(): return 2\ndef g(): return h()\ndef f(x): return g()",
    ),
    "constant of a helper": ("R = 1\ndef g(): return R\ndef f(x): return g()", "R = 2\ndef g(): return R\ndef f(x): return g()"),
    "default of a helper": ("def g(a=1): return a\ndef f(x): return g()", "def g(a=2): return a\ndef f(x): return g()"),
    "keyword default of a helper": ("def g(*, a=1): return a\ndef f(x): return g()", "def g(*, a=2): return a\ndef f(x): return g()"),
    "list as default of a helper": ("def g(a=[1]): return a\ndef f(x): return g()", "def g(a=[2]): return a\ndef f(x): return g()"),
    "cached helper": (
        "@functools.lru_cache\ndef g(): return 1\ndef f(x): return g()", "@functools.lru_cache\ndef g(): return 2\ndef f(x): return g()",
    ),
    "helper with an imported decorator": (
        "@contextmanager\ndef g(): yield 1\ndef f(x):\n    with g() as y: return y",
        "@contextmanager\ndef g(): yield 2\ndef f(x):\n    with g() as y: return y",
    ),
    "tuple of helpers": ("def g(): return 1\nS = (g,)\ndef f(x): return S[0]()", "def g(): return 2\nS = (g,)\ndef f(x): return S[0]()"),
    "helper with arguments": (
        "def h(a): return a\ng = functools.partial(h, 1)\ndef f(x): return g()",
        "def h(a): return a\ng = functools.partial(h, 2)\ndef f(x): return g()",
    ),
    "class of the module": (
        "class A:\n    RATE = 1\ndef f(x): return A.RATE", "class A:\n    RATE = 2\ndef f(x): return A.RATE",
    ),
    "method": (
        "class A:\n    def g(self): return 1\ndef f(x): return A().g()", "class A:\n    def g(self): return 2\ndef f(x): return A().g()",
    ),
    "method of a base": (
        "class B:\n    def g(self): return 1\nclass A(B): pass\ndef f(x): return A().g()",
        "class B:\n    def g(self): return 2\nclass A(B): pass\ndef f(x): return A().g()",
    ),
    "class method and property": (
        "class A:\n    @classmethod\n    def g(cls): return cls().h\n    @property\n    def h(self): return 1\ndef f(x): return A.g()",
        "class A:\n    @classmethod\n    def g(cls): return cls().h\n    @property\n    def h(self): return 2\ndef f(x): return A.g()",
    ),
    "imported by name": ("from math import sin as g\ndef f(x): return g(x)", "from math import cos as g\ndef f(x): return g(x)"),
    "imported function": (
        "from posixpath import basename as g\ndef f(x): return g(x)", "from posixpath import dirname as g\ndef f(x): return g(x)",
    ),
    "module": ("import json as j\ndef f(x): return j.dumps(x)", "import marshal as j\ndef f(x): return j.dumps(x)"),
    "decorated": (
        "def d(fn):\n    @functools.wraps(fn)\n    def w(*a): return fn(*a)\n    return w\n@d\ndef f(x): return 1",
        "def d(fn):\n    @functools.wraps(fn)\n    def w(*a): return fn(*a)\n    return w\n@d\ndef f(x): return 2",
    ),
    "decorator": (
        "def d(fn):\n    @functools.wraps(fn)\n    def w(*a): return fn(*a)\n    return w\n@d\ndef f(x): return 1",
        "def d(fn):\n    @functools.wraps(fn)\n    def w(*a): return -fn(*a)\n    return w\n@d\ndef f(x): return 1",
    ),
    "argument of a decorator": (
        "def d(n):\n    def e(fn):\n        @functools.wraps(fn)\n        def w(*a): return n * fn(*a)\n        return w\n    return e\n@d(1)\ndef f(x): return 1",
        "def d(n):\n    def e(fn):\n        @functools.wraps(fn)\n        def w(*a): return n * fn(*a)\n        return w\n    return e\n@d(2)\ndef f(x): return 1",
    ),
    "variable of an enclosing function": (
        "def make(n):\n    def f(x): return n\n    return f\nf = make(1)", "def make(n):\n    def f(x): return n\n    return f\nf = make(2)",
    ),
    "list of an enclosing function": (
        "def make(n):\n    def f(x): return n\n    return f\nf = make([1])", "def make(n):\n    def f(x): return n\n    return f\nf = make([2])",
    ),
}  # fmt: skip


@pytest.mark.parametrize("one, other", SAME.values(), ids=SAME)
def test_functions_that_do_the_same(imported: Import, one: str, other: str) -> None:
    assert form(imported(one).f) == form(imported(other).f)
    assert form(compiled(HEAD + one)) == form(compiled(HEAD + other))


@pytest.mark.parametrize("one, other", DIFFERENT.values(), ids=DIFFERENT)
def test_functions_that_do_something_else(imported: Import, one: str, other: str) -> None:
    assert form(imported(one).f) != form(imported(other).f)
    assert form(compiled(HEAD + one)) != form(compiled(HEAD + other))


def test_file_that_was_edited_meanwhile(imported: Import, tmp_path: Path) -> None:
    """The text in the file is no longer that of the function, which runs the old code."""
    old = imported("def f(x): return 'old'").f
    (tmp_path / "program.py").write_text(HEAD + "def f(x): return 'new'")
    linecache.clearcache()
    edited = form(old)
    assert edited != form(imported("def f(x): return 'new'").f)
    assert edited == form(compiled(HEAD + "def f(x): return 'old'"))


def test_source_is_the_same_without_the_compiled_code(imported: Import) -> None:
    """The tree of the text is part of the key, not what one version of Python compiles it to."""
    import hashlib

    text = "def f(x, *, y: int = 2):\n    'Doc.'\n    return [x, -1.5, f'{y!r}', {**x}, 'é', b'', None, ...]\n"
    found = hashlib.sha256(form(imported(text).f)).hexdigest()
    # It is on disk, in the names of records: changing it is a new FORMAT in store/memo/key.py.
    assert found == "9592649ff1c18a3cf21996fdd183c0afa55dfee997e11b621406ce29f46b073a"


def make(value: Any) -> Callable[[int], Any]:
    def f(x: int) -> Any:
        return value, x

    return f


@pytest.mark.parametrize(
    "one, other",
    [
        (1, 2),
        (len, max),
        (operator.itemgetter(1), operator.itemgetter(2)),
        (functools.partial(make, 1), functools.partial(make, 2)),
        ("a".upper, "b".upper),
        (lambda: 1, lambda: 2),
        (make(1), make(2)),
        ([make(1)], [make(2)]),
        ({"a": lambda: 1}, {"a": lambda: 2}),
        (type("T", (), {"a": 1}), type("T", (), {"a": 2})),
        (list[int], list[str]),
        (dict, list),
        (sys, threading),
        (Path.exists, Path.is_dir),
        (Path("a").exists, Path("b").exists),
        ({1, 2}, {1, 3}),
    ],
)
def test_variables_of_enclosing_functions_by_value(s: Store[Any], one: Any, other: Any) -> None:
    assert form(make(one)) == form(make(one)) != form(make(other))
    names = {memo(s)(make(value))._key.of((1,), {}) for value in (one, one, other)}
    assert len(names) == 2


def test_variable_that_cannot_be_part_of_a_key(s: Store[Any]) -> None:
    with pytest.raises(TypeError, match=r"make.*f: the variable 'value' of an enclosing function .*a _thread.lock.*version="):
        memo(s)(make(threading.Lock()))
    with pytest.raises(TypeError, match=r"the variable 'value'.*the default of 'a' .*_thread.lock"):
        memo(s)(make(eval("lambda a=lock: a", {"lock": threading.Lock()})))
    for remedy in ({"version": 1}, {"source": False}):  # both work
        f = memo(s, key=lambda x: x, **remedy)(make(threading.Lock()))
        assert f.uncached(1)[1] == 1


def test_variable_that_gets_its_value_later(s: Store[Any]) -> None:
    def f(x: int) -> int:
        return x and g(x - 1)

    memoized = memo(s)(f)
    with pytest.raises(TypeError, match="the variable 'g'"):
        g: Any = [threading.Lock()]
        memoized(1)
    g = memoized
    assert memoized(3) == 0


def test_variable_that_is_set_anew(s: Store[Any]) -> None:
    rate, table = 2, {"rate": 2}

    @memo(s)
    def by_rate(x: int) -> int:
        return x * rate

    @memo(s)
    def by_table(x: int) -> int:
        return x * table["rate"]

    assert (by_rate(5), by_table(5)) == (10, 10)
    rate, table["rate"] = 3, 3
    assert (by_rate(5), by_table(5)) == (15, 15)
    rate, table["rate"] = 2, 2
    assert (by_rate(5), by_table(5)) == (10, 10)
    assert by_rate.cache_info().misses == by_table.cache_info().misses == 2


def test_what_a_function_keeps_for_itself_does_not_make_other_calls_of_it(s: Store[Any]) -> None:
    ran: list[int] = []
    count, seen = 0, {"calls": 0}
    note = ran.append

    @memo(s)
    def f(x: int) -> int:
        nonlocal count
        count += 1
        seen["calls"] += 1
        ran.append(x)
        note(x)
        return x

    assert [f(1), f(1), f(2), f(2)] == [1, 1, 2, 2]
    assert (ran, count, seen) == ([1, 1, 2, 2], 2, {"calls": 2})


def test_module_that_changes_while_it_runs(imported: Import, s: Store[Any]) -> None:
    program = imported("""
        RATE = 1
        def helper(x): return x * RATE
        class Config:
            rate = 1
        def f(x): return helper(x) * Config.rate
    """)
    f = memo(s)(program.f)
    assert f(5) == 5
    program.RATE = 2
    assert f(5) == 10
    program.helper = lambda x: -x
    assert f(5) == -5
    program.Config.rate = 3
    assert f(5) == -15
    program.f.__code__ = (lambda x: "edited").__code__  # as IPython's autoreload does
    assert f(5) == "edited"
    assert f.cache_info()[:2] == (0, 5)


def test_function_of_the_key_is_part_of_it(s: Store[Any]) -> None:
    one, other = (memo(s, key=key)(double) for key in (lambda x: x % 10, lambda x: x % 100))
    assert [one(12), other(2), one(2)] == [24, 4, 24]


def double(x: int) -> int:
    return x * 2


def test_method_that_calls_its_base(s: Store[Any]) -> None:
    class Base:
        def value(self) -> int:
            return 1

    class Derived(Base):
        @memo(s, ignore="self")
        def value(self) -> int:
            return super().value() + 1

    assert Derived().value() == Derived().value() == 2
    assert Derived.value.cache_info().hits == 1


def test_memoized_function_inside_of_another(s: Store[Any]) -> None:
    def make(n: int, version: int) -> Any:
        inner = memo(s, version=version)(lambda x: x * n)
        return memo(s)(lambda x: inner(x) + 0)

    assert [make(1, 1)(5), make(2, 1)(5), make(2, 2)(5)] == [5, 10, 10]
    assert len({make(*args)._key.of((5,), {}) for args in ((1, 1), (2, 1), (2, 2), (2, 2))}) == 3


def test_call_of_a_callable_object(s: Store[Any]) -> None:
    class Add:
        def __init__(self, n: Any) -> None:
            self.n = n

        def __call__(self, x: int) -> Any:
            return x + self.n

        def __memo_key__(self) -> Any:
            return self.n

    assert [memo(s, name="add")(Add(n))(1) for n in (1, 2)] == [2, 3]
    assert [memo(s, name="add")(functools.partial(operator.add, n))(1) for n in (1, 2)] == [2, 3]
    with pytest.raises(TypeError, match=r"the object that is called cannot.*version="):
        memo(s, name="bad")(Add(threading.Lock()))


def test_deep_and_long_functions(imported: Import) -> None:
    text = "def f(x):\n" + "".join(f"    {'el' if n else ''}if x == {n}: return {n}\n" for n in range(300))
    assert form(imported(text).f) != form(imported(text.replace("return 299", "return 300")).f)


def test_proxies_of_the_module_are_left_alone(imported: Import) -> None:
    program = imported("""
        class Lazy:
            @property
            def __class__(self): raise RuntimeError("asked")
            def __getattr__(self, name): raise RuntimeError("asked")
            def __call__(self): return 1
        settings = Lazy()
        def f(x): return settings()
    """)
    assert form(program.f) == form(program.f)


def test_memoized_helpers_of_the_module_and_of_others(imported: Import, s: Store[Any]) -> None:
    text = """
        from store.memo import memo
        @memo(":memory:", version={})
        def helper(x): return x {} 1
        def f(x): return helper(x)
    """
    forms = {form(imported(text.format(*edit)).f) for edit in ((1, "+"), (1, "+"), (2, "+"), (1, "-"))}
    assert len(forms) == 3
    by_name = {form(make(imported(text.format(*edit)).helper)) for edit in ((1, "+"), (2, "+"), (1, "-"))}
    assert len(by_name) == 1


def test_functions_that_use_the_table_they_are_in(s: Store[Any]) -> None:
    def make(n: int) -> Any:
        table: dict[str, Any] = {}

        def even(x: int) -> bool:
            return x == 0 or bool(table["odd"](x - 1))

        def odd(x: int) -> bool:
            return x == n or bool(table["even"](x - 1))

        table.update(even=even, odd=odd, both={even, odd})
        return memo(s)(lambda x: table["even"](x) is True)

    names = [make(n)._key.of((4,), {}) for n in (1, 1, 2)]
    assert names[0] == names[1] != names[2]
    f = make(1)
    assert (f(4), f(4), f.cache_info().hits) == (True, True, 1)
