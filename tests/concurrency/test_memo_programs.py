"""Memoized functions of programs: the same keys in every run and in every worker, and code that is edited."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

PROGRAM = """
    import collections, enum, multiprocessing, sys
    from dataclasses import dataclass
    from store.memo import memo

    KINDS = frozenset({"a", "b", "c", None})

    class Level(enum.Enum):
        LOW = {"x", "y"}

    @dataclass
    class Point:
        x: int
        def norm(self):
            return self.x in {"p", "q", 3}

    Pair = collections.namedtuple("Pair", "a b")

    def helper(x):
        return x in {"k", "l", "m"} or KINDS

    def make(names):
        @memo(sys.argv[1], name="inner")
        def inner(x):
            return helper(x), x in {"r", "s", "t"}, names
        return inner

    @memo(sys.argv[1], name="outer")
    def outer(level, point, pair):
        return helper(1), make({"u", "v"}) and 1, Level, Point

    def names(_=None):
        inner = make({"u", "v", "w"})
        return outer._key.of((Level.LOW, Point(1), Pair(1, 2)), {}), inner._key.of((1,), {})
"""


def run(file: Path, *args: object, seed: str = "random") -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", file, *map(str, args)], env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "program.py"


@pytest.mark.parametrize("source", [True, False])
@pytest.mark.slow
def test_keys_are_the_same_under_every_hash_seed_and_in_every_process(path: Path, file: Path, source: bool) -> None:
    text = textwrap.dedent(PROGRAM)
    if not source:  # what has no text goes by what it was compiled to
        text = f"import sys\nexec(compile({text!r}, '<text>', 'exec'))\n"
    file.write_text(text + textwrap.dedent("""
        if __name__ == "__main__":
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                print(len({names(), *pool.map(names, [1])}), names())
    """))
    found = {run(file, path, seed=seed) for seed in ("0", "1", "2")}
    assert [line[:2] for line in found] == ["1 "]


@pytest.mark.slow
def test_edited_program_computes_anew(path: Path, file: Path) -> None:
    text = """
import sys
from store.memo import memo
RATE = 2
def helper(x): return x * RATE
@memo(sys.argv[1])
def load(x): return helper(x) + 1
print(load(5), load.cache_info()[:2])
"""
    found = []
    for old, new in (("", ""), ("+ 1", "+ 2"), ("RATE = 2", "RATE = 3"), ("x * RATE", "-x * RATE"), ("print", "\n\nprint")):
        text = text.replace(old, new, 1) if old else text
        file.write_text(text)
        found.append(run(file, path).strip())
    assert found == ["11 (0, 1)", "12 (0, 1)", "17 (0, 1)", "-13 (0, 1)", "-13 (1, 0)"]


NOTEBOOK = """
import linecache, sys
from store.memo import memo

def cell(text, number):
    "As IPython runs one: a file name of its own, which is in no folder."
    name = f"<ipython-input-{number}-{abs(hash(text)):x}>"
    linecache.cache[name] = len(text), None, text.splitlines(True), name
    exec(compile(text, name, "exec"), globals())

HELPER = "RATE = {}\\ndef helper(x):\\n    return x * RATE\\n"
LOAD = "@memo(sys.argv[1])\\ndef load(x):\\n    'Doc.'\\n    return helper(x) + {}\\n"
for number, (rate, add) in enumerate([(2, 1), (2, 1), (3, 1), (3, 1), (3, 2), (2, 1)]):
    cell(HELPER.format(rate), number)
    cell(LOAD.format(add), number)
    print(load(5), load.cache_info().hits, end=" | ")
"""


@pytest.mark.slow
def test_cell_that_is_run_again_with_the_same_text_hits(path: Path, file: Path) -> None:
    file.write_text(NOTEBOOK)
    assert run(file, path) == "11 0 | 11 1 | 16 0 | 16 1 | 17 0 | 11 1 | "
    assert run(file, path) == "11 1 | 11 1 | 16 1 | 16 1 | 17 1 | 11 1 | "  # in another session


JOBLIB = """
import os, sys
from store.memo import memo

class Scale:
    by = 3

def helper(x):
    return x * Scale.by

@memo(sys.argv[1])
def load(x):
    with open(sys.argv[2], "a") as lines:
        lines.write(f"{os.getpid()}\\n")
    return helper(x)

@memo(sys.argv[1])
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)

class Service:
    @memo(sys.argv[1])
    @classmethod
    def name(cls, x):
        return cls.__name__, x

    @memo(sys.argv[1])
    @staticmethod
    def twice(x):
        return 2 * x

if __name__ == "__main__":
    from joblib import Parallel, delayed
    for calls in ([delayed(load)(x) for x in (1, 1, 2, 2)], [delayed(fib)(10)], [delayed(Service.name)(1), delayed(Service.twice)(2)]):
        print(Parallel(n_jobs=2)(calls))
    print(load(1), load.cache_info()[:3], fib.cache_info().stored, Service.twice(2), Service.twice.cache_info()[:2])
    pids = set(open(sys.argv[2]).read().split())
    print(len(open(sys.argv[2]).read().split()), str(os.getpid()) in pids)
"""


@pytest.mark.heavy
def test_function_of_the_program_in_workers_of_joblib(place: str, file: Path, tmp_path: Path) -> None:
    pytest.importorskip("joblib", reason="joblib is not installed: its workers are not tested")
    file.write_text(JOBLIB.replace("sys.argv[1]", repr(str(place))).replace("sys.argv[2]", repr(str(tmp_path / "ran"))))
    assert run(file).splitlines() == [
        "[3, 3, 6, 6]", "[55]", "[('Service', 1), 4]", "3 (1, 0, 2) 11 4 (1, 0)", "2 False",
    ]  # fmt: skip


@pytest.mark.slow
def test_function_of_the_program_in_processes_of_the_standard_library(place: str, file: Path) -> None:
    file.write_text(textwrap.dedent(f"""
        import multiprocessing, pickle
        from concurrent.futures import ProcessPoolExecutor
        from store.memo import memo

        @memo({str(place)!r})
        def load(x):
            return [x]

        if __name__ == "__main__":
            assert pickle.loads(pickle.dumps(load)) is load
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                print(*pool.map(load, [1, 1, 2]))
            print(load(2), load.cache_info()[:3])
    """))
    assert run(file) == "[1] [1] [2]\n[2] (1, 0, 2)\n"
