"""SIGKILL at any moment: the store opens, is sound, and holds every write that had returned."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from itertools import count
from random import Random

import pytest

from store import Store
from store.trust.keys.file import read_key_file
from store.trust.keys.ring import Keyring, default_key_file

from .killer import ended, forked
from .kills import kill_writers
from .writers import KINDS


@pytest.mark.heavy
@pytest.mark.orphans
def test_four_writers_of_which_one_after_the_other_is_killed(tmp_path):
    done = kill_writers(Random(7), tmp_path, kills=50)
    print(f"{done.kills} kills: {dict(done.killed_in)}; operations: {dict(done.operations)}")
    assert done.failures == []
    assert done.kills >= 50
    assert set(done.operations) == set(KINDS)
    assert len(done.killed_in) > len(KINDS) // 2  # where the rest are killed is up to chance


STEP = 11  # of eleven steps one, of each operation another; the campaign kills at all


def killed_at(moment: int, work: Callable[[], object]) -> bool:
    """Whether a fork of this process that does `work` got as far as that moment, and was killed there."""
    status = ended(forked(work, moment))
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
@pytest.mark.parametrize("how", CHANGED)
def test_writer_killed_at_steps_of(path, how):
    with Store(path, timeout=5) as s:
        for moment in count(1 + list(CHANGED).index(how) % STEP, STEP):
            s.update(a=["old"], b="old")
            killed = killed_at(moment, lambda: change(s, how))
            found = s.get("a"), s.get("b")
            if not killed:
                assert found == CHANGED[how]
                break
            assert found in ((["old"], "old"), CHANGED[how])
            s["next"] = moment  # nobody holds the lock
        assert moment > 20


@pytest.mark.heavy
def test_process_killed_at_steps_of_making_the_key(tmp_path, monkeypatch):
    for moment in count(1, STEP):
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / str(moment)))
        killed = killed_at(moment, lambda: Keyring().sealing_key())
        file = default_key_file()
        made = [key.id for key in read_key_file(file)] if os.path.exists(file) else []
        sealing = Keyring().sealing_key()
        assert sealing is not None
        assert made in ([], [sealing.id]) and (made or killed)
        assert [key.id for key in read_key_file(file)] == [sealing.id]
        if not killed:
            break
    assert moment > 20
