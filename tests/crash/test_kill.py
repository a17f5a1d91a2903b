"""SIGKILL at any moment: the store opens, is sound, and holds every write that had returned."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable
from contextlib import closing
from types import FrameType
from typing import Any

import pytest

from store import Store

KILLS = 50
TIMEOUT = 60.0  # seconds

# The same steps run in the child on a store, and here on a dict.
STEPS = """
import random

def step(s, transaction, round, i):
    rng = random.Random(1000 * round + i)
    kind = rng.choice(["set", "set", "delete", "modify", "edit", "transaction", "update"])
    name = f"record {rng.randrange(30)}"
    if kind == "set":
        s[name] = rng.randbytes(rng.choice([10, 1_000, 60_000]))
    elif kind == "delete":
        s.pop(name, None)
    elif kind == "modify":
        change(s, "count", lambda value: value + 1)
    elif kind == "edit":
        change(s, "log", lambda values: [*values[-20:], i])
    elif kind == "transaction":
        with transaction():
            s["left"] = [round, i]
            s.pop(name, None)
            s["right"] = [round, i]
    else:
        s.update({f"many {k}": [round, i] for k in range(5)})
"""

WRITER = (
    """
import sys
from store import Store

def change(s, name, fn):
    if name == "count":
        s.modify(name, fn)
    else:
        with s.edit(name) as values:
            values[:] = fn(values)
"""
    + STEPS
    + """
with Store(sys.argv[1]) as s:
    i = 0
    while True:
        step(s, s.transaction, int(sys.argv[2]), i)
        i += 1
        sys.stdout.buffer.write(b".")  # it has returned
        sys.stdout.buffer.flush()
"""
)


class Model(dict):
    """What the store must hold: `after(round, i)` steps."""

    def after(self, round_: int, steps: int) -> Model:
        place: dict[str, Any] = {"change": lambda s, name, fn: s.__setitem__(name, fn(s[name]))}
        exec(STEPS, place)
        copy = Model(self)
        for i in range(steps):
            place["step"](copy, lambda: closing(_Nothing()), round_, i)
        return copy


class _Nothing:
    def close(self) -> None:
        pass


def acknowledged(child: subprocess.Popen[bytes], enough: int) -> int:
    """How many writes returned before the child was killed, which is done after `enough` of them."""
    assert child.stdout is not None
    seen = 0
    while seen < enough:  # not by `read`: what that keeps in its buffer `communicate` does not see
        found = os.read(child.stdout.fileno(), enough - seen)
        assert found, child.stderr.read() if child.stderr else ""
        seen += len(found)
    child.kill()
    rest, _ = child.communicate(timeout=TIMEOUT)
    return seen + len(rest)


@pytest.mark.heavy
def test_writer_killed_at_random_moments(path):
    rng = random.Random(2)
    first = {"count": 0, "log": []}
    with Store(path) as s:
        s.update(first)
    model = Model(first)
    for round_ in range(KILLS):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(round_)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as child:
            steps = acknowledged(child, rng.randrange(1, 150))
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as conn:
            assert conn.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        with Store(path, timeout=30, trust="own") as s:
            found = dict(s)
            possible = [model.after(round_, steps), model.after(round_, steps + 1)]  # the last may not have returned
            assert found in possible, f"round {round_}: not as after {steps} steps, nor one more"
            model = Model(found)
            s["by the parent"] = round_
            model["by the parent"] = round_
    assert model["count"] > 0


class Killer:
    """Kills this process at the n-th entry of a Python function, or return of a C function, of some modules."""

    def __init__(self, moment: int, modules: tuple[str, ...]) -> None:
        self.left, self.modules = moment, modules

    def __call__(self, frame: FrameType, event: str, arg: Any) -> None:
        if event in ("call", "c_return") and str(frame.f_globals.get("__name__")).startswith(self.modules):
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def killed_at(moment: int, modules: tuple[str, ...], work: Callable[[], object]) -> bool:
    """Whether a fork of this process that does `work` got as far as that moment, and was killed there."""
    pid = os.fork()
    if not pid:
        code = 1
        try:
            sys.setprofile(Killer(moment, modules))
            work()
            sys.setprofile(None)
            code = 0
        finally:
            os._exit(code)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status in (0, -signal.SIGKILL)
    return status != 0


def change(s: Store, how: str) -> None:
    if how == "set":
        s["a"] = "new"
    elif how == "delete":
        del s["a"]
    elif how == "modify":
        s.modify("a", lambda value: "new")
    elif how == "edit":
        with s.edit("a") as value:
            value.append("new")
    elif how == "transaction":
        with s.transaction():
            s["a"] = "new"
            with s.transaction():
                s["b"] = "new"
    else:
        s.update(a="new", b="new")


CHANGED = {
    "set": ("new", "old"),
    "delete": (None, "old"),
    "modify": ("new", "old"),
    "edit": (["old", "new"], "old"),
    "transaction": ("new", "new"),
    "update": ("new", "new"),
}


@pytest.mark.heavy
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("how", CHANGED)
def test_writer_killed_at_every_step_of(path, how):
    with Store(path, timeout=5) as s:
        moment = 0
        while True:
            moment += 1
            s.update(a=["old"], b="old")
            killed = killed_at(moment, ("store.",), lambda: change(s, how))
            found = s.get("a"), s.get("b")
            if not killed:
                assert found == CHANGED[how]
                break
            assert found in ((["old"], "old"), CHANGED[how])
            s["next"] = moment  # nobody holds the lock
        assert moment > 20


@pytest.mark.heavy
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_process_killed_at_every_step_of_making_a_store(tmp_path):
    (tmp_path / "warm").mkdir()
    Store(tmp_path / "warm" / "up.db").close()  # imports what the children need
    moment = 0
    while True:
        moment += 3
        path = tmp_path / f"{moment}.db"

        def work(path=path) -> None:
            with Store(path) as s:
                s["a"] = 1

        killed = killed_at(moment, ("store.", "sqlite_utils."), work)
        with Store(path, timeout=5) as s:
            assert s.get("a") in ((None, 1) if killed else (1,))
            s["b"] = 2
            assert s["b"] == 2
        with closing(sqlite3.connect(path)) as conn:
            assert conn.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            assert conn.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert conn.execute("SELECT count(*) FROM identity").fetchone() == (1,)
        for name in os.listdir(tmp_path):
            if name.startswith(f"{moment}.db"):
                os.unlink(tmp_path / name)
        if not killed:
            break
    assert moment > 100


@pytest.mark.heavy
def test_maker_of_a_new_path_killed_while_others_wait(path):
    """Eight processes make one file; those that are killed on the way leave it to the others."""
    source = """
        import os, signal, sys
        sys.stdin.readline()
        from store import Store
        number = int(sys.argv[2])
        def profile(frame, event, arg, left=[60 * number]):
            if number < 4 and event == "call" and "sqlite" in frame.f_globals.get("__name__", ""):
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
        if number:
            sys.setprofile(profile)
        with Store(sys.argv[1]) as s:
            s[str(number)] = number
    """
    command = [sys.executable, "-c", textwrap.dedent(source), str(path)]
    children = [
        subprocess.Popen([*command, str(number)], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for number in range(8)
    ]
    try:
        for child in children:
            child.stdin.write("go\n")
            child.stdin.flush()
        ended = [(child.communicate(timeout=TIMEOUT)[1], child.returncode) for child in children]
    finally:
        for child in children:
            child.kill()
            child.wait()
    survivors = [number for number, (_, code) in enumerate(ended) if code == 0]
    assert [error for error, code in ended if code not in (0, -signal.SIGKILL)] == []
    assert {0, 4, 5, 6, 7} <= set(survivors)
    with Store(path) as s:
        assert set(survivors) <= {int(name) for name in s}
