"""cloudpickle, dill and joblib: what they hold that pickle does not, and from one program to another."""

from __future__ import annotations

import pickle as stdlib
import subprocess
import sys
from importlib.util import find_spec
from textwrap import dedent
from typing import Any

import pytest

from store import Store
from store.codecs import codecs

NEEDED = "is not installed: its codec is not tested"
if find_spec("dill") is not None:
    codecs.load("dill")  # before dill itself is imported, which would change the picklers of all tests

WRITER = """
    import sys
    from dataclasses import dataclass
    from store import Store

    @dataclass
    class Point:
        x: int

        def moved(self, by):
            return Point(self.x + by)

    def adder(n):
        return lambda m: n + m

    with Store(sys.argv[1], codec=sys.argv[2]) as s:
        s["lambda"] = lambda x: x * 2
        s["closure"] = {"add": adder(40)}
        s["instance"] = [Point(1)]
        s["class"] = Point
"""
READER = """
    import sys
    from store import Store

    with Store(sys.argv[1]) as s:
        point = s["instance"][0].moved(2)
        print(s["lambda"](21), s["closure"]["add"](2), type(point).__name__, point.x, s["class"](7).x)
"""


def run(program: str, *args: object) -> str:
    done = subprocess.run(
        [sys.executable, "-c", dedent(program), *map(str, args)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("codec", ["cloudpickle", "dill"])
@pytest.mark.slow
def test_functions_and_classes_of_a_program_are_read_by_another(place: str, codec: str) -> None:
    pytest.importorskip(codec, reason=f"{codec} {NEEDED}")
    run(WRITER, place, codec)
    assert run(READER, place) == "42 42 Point 3 7\n"


@pytest.mark.parametrize("codec", ["cloudpickle", "dill"])
def test_function_that_is_edited_with_its_closure(place: str, codec: str) -> None:
    pytest.importorskip(codec, reason=f"{codec} {NEEDED}")
    n = 1
    with Store[Any](place, codec=codec) as s:
        s["jobs"] = {"add": lambda m: n + m}
        with s.edit("jobs") as jobs:
            jobs["twice"] = lambda m: m * 2
        assert (s["jobs"]["add"](4), s["jobs"]["twice"](4)) == (5, 8)
        assert s.record("jobs").codec == codec


def test_arrays_by_joblib_stand_as_they_are(place: str) -> None:
    pytest.importorskip("joblib", reason=f"joblib {NEEDED}")
    numpy = pytest.importorskip("numpy", reason=f"numpy {NEEDED}")
    little, big = numpy.arange(1000, dtype="<i8"), numpy.arange(1000, dtype=">i8")
    with Store[Any](place, codec="joblib") as s:
        s["model"] = {"weights": [little, big], "name": "m"}
        back = s["model"]
        assert s.opened.find("model").body.count(little.tobytes()) == 1  # type: ignore[union-attr]
    for one, other in zip(back["weights"], (little, big), strict=True):
        assert (one == other).all() and one.dtype == other.dtype and one.flags.writeable


@pytest.mark.slow
def test_import_of_dill_leaves_the_picklers_of_the_program_alone() -> None:
    pytest.importorskip("dill", reason=f"dill {NEEDED}")
    program = """
        import pickle
        before = dict(pickle._Pickler.dispatch)
        from store.codecs import codecs
        body = codecs.load("dill").encode(lambda: 7, 5)
        assert codecs.load("dill").decode(body)() == 7
        print(pickle._Pickler.dispatch == before)
        """
    assert run(program) == "True\n"
    already = "import dill, pickle\nbefore = dict(pickle._Pickler.dispatch)\nfrom store.codecs import codecs\n"
    already += "codecs.load('dill')\nprint(pickle._Pickler.dispatch == before)"  # the program's own import: its choice
    assert run(already) == "True\n"


@pytest.mark.parametrize("name", ["cloudpickle", "dill", "joblib"])
def test_protocols_that_lose_what_they_write_are_not_offered(name: str) -> None:
    pytest.importorskip(name, reason=f"{name} {NEEDED}")
    assert codecs.load(name).protocols == range(2, 6)


@pytest.mark.parametrize("name", ["cloudpickle", "dill"])
def test_bodies_are_what_the_library_itself_reads(name: str) -> None:
    library = pytest.importorskip(name, reason=f"{name} {NEEDED}")
    codec = codecs.load(name)
    assert library.loads(codec.encode({"a": [1]}, 4)) == {"a": [1]}
    assert codec.decode(library.dumps(lambda: 3))() == 3
    assert stdlib.loads(codec.encode([1], 5)) == [1]
