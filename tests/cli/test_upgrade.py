"""`store upgrade`: what it says, how it ends, and that it can be killed."""

import os
import pty
import subprocess
import sys
import textwrap

import pytest

from store import Store


@pytest.fixture
def old(path):
    with Store(path, protocol=2) as s:
        s.update(a=[1], b=(1, 2))
        with s.within("web") as web:
            web["c\n"] = "x"
    return path


def protocols(path):
    with Store(path) as s:
        return [(record.codec, record.protocol) for record in s.records()]


def test_summary(run, old):
    assert run("upgrade", old) == (0, "upgraded 3, current 0, left 0, failed 0\n", "")
    assert protocols(old) == [("pickle", 5)] * 2
    assert run("upgrade", old) == (0, "upgraded 0, current 3, left 0, failed 0\n", "")


def test_dry_run_shows_each_record(run, old):
    code, out, err = run("upgrade", old, "--dry-run")
    assert (code, err) == (0, "")
    assert out == (
        "a: pickle 2 → pickle 5\nb: pickle 2 → pickle 5\n"
        '"c\\n" (web): pickle 2 → pickle 5\nto be upgraded 3, current 0, left 0, failed 0\n'
    )
    assert protocols(old) == [("pickle", 2)] * 2


def test_record_that_fails_is_told_and_the_others_are_done(run, old):
    code, out, err = run("upgrade", old, "--codec", "json")
    assert (code, out) == (1, "upgraded 2, current 0, left 0, failed 1\n")
    assert err.startswith("store: record 'b': value: JSON has no tuple")
    assert err.count("\n") == 1
    assert protocols(old) == [("json", 1), ("pickle", 2)]


def test_one_namespace(run, old):
    assert run("upgrade", old, "--namespace", "web").out == "upgraded 1, current 0, left 0, failed 0\n"


@pytest.mark.damaged
@pytest.mark.filterwarnings("ignore:.*sealed with a key")
def test_record_of_somebody_else_is_left(run, old):
    with Store(old, key=b"the key of others", protocol=2) as s:
        s["a"] = [2]
    code, out, err = run("upgrade", old, "--namespace", "")
    assert (code, out) == (0, "upgraded 1, current 0, left 1, failed 0\n")
    assert "store: a is left as it is: it was not sealed with a key of yours\n" in err


@pytest.mark.parametrize(
    "words, args",
    [
        ("unknown codec 'cbor': one of pickle, json", ["--codec", "cbor"]),
        ("has protocols 0 to 5, not 9", ["--codec", "pickle", "--protocol", "9"]),
        ("--rename takes OLD=NEW", ["--rename", "old.User"]),
        ("round in a circle", ["--rename", "a.A=b.B", "--rename", "b.B=a.A"]),
        ("Invalid value for '--batch'", ["--batch", "0"]),
    ],
)
def test_wrong_call(fails, old, words, args):
    fails(2, words, "upgrade", old, *args)
    assert protocols(old) == [("pickle", 2)] * 2


def test_store_that_is_not_there(fails, tmp_path):
    fails(1, "there is no store at", "upgrade", tmp_path / "none.db")


@pytest.mark.slow
def test_progress_is_shown_on_a_terminal_only(old):
    command = [sys.executable, "-m", "store", "upgrade", str(old)]
    leader, follower = pty.openpty()
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=follower, text=True, timeout=60, check=True)
        os.close(follower)
        shown = b""
        while b"100%" not in shown:
            try:
                shown += os.read(leader, 4096)
            except OSError:  # how Linux says that the other end is closed
                break
    finally:
        os.close(leader)
    assert done.stdout == "upgraded 3, current 0, left 0, failed 0\n"
    assert b"100%" in shown


SLOW = """
import os, signal, sys
from store.cli import main
from store.codecs.pickle import PickleCodec

encode, left = PickleCodec.encode, int(sys.argv[2])

def killing(self, value, protocol, buffer_callback=None):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return encode(self, value, protocol, buffer_callback)

PickleCodec.encode = killing
sys.exit(main(["upgrade", sys.argv[1], "--batch", "7"]))
"""


@pytest.mark.heavy
def test_killed_at_any_moment_nothing_is_lost(path):
    """Killed after so many records, once in each part of a batch; the next run goes on from there."""
    with Store(path, protocol=2) as s:
        s.update({f"n{i:02}": [i] * i for i in range(30)})
    done = 0
    for kill_after in (0, 1, 6, 7, 8, 13):
        run = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(SLOW), str(path), str(kill_after)], capture_output=True, timeout=60,
            check=False,
        )  # fmt: skip
        assert run.returncode == -9
        with Store(path) as s:
            now = [record.protocol for record in s.records()]
            assert s | {} == {f"n{i:02}": [i] * i for i in range(30)}
        done += kill_after - kill_after % 7
        assert now == [5] * done + [2] * (30 - done)  # whole batches, and none twice
    run = subprocess.run([sys.executable, "-m", "store", "upgrade", str(path)], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout == f"upgraded {30 - done}, current {done}, left 0, failed 0\n"
