"""Files of somebody else that take far more memory than disk: holes, and one file under many names."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from buffered import Buffered
from spilling import BIG, OTHER, THEIRS, folder_of, listed, reseal, small_spill

from store.errors import Corrupt
from store.rows.spilled import new_file

pytestmark = [pytest.mark.damaged, pytest.mark.filterwarnings("ignore:.*sealed with a key")]

SPARSE = 64 * 1024 * 1024
LINKS = 24
ZEROS = "3b6a07d0d404fab4e23b6d34bc6696a6a312dd92821332385e5af7c01c421351"  # SHA-256 of SPARSE zeros
MEGABYTES = 512
CPU_SECONDS = 5
CHILD = Path(__file__).with_name("hollow_child.py")


def planted(path: Path, *, body: bytes, shape: str) -> None:
    """A record `it` of somebody else with files of that shape, and one of ours."""
    with small_spill(path, key=THEIRS) as s:
        s["it"] = BIG
        prefix = s.opened.engine.blobs.prefix("", "it")  # type: ignore[union-attr]
    with small_spill(path) as s:
        s["other"] = OTHER
    folder = folder_of(path)
    names = [new_file(prefix) for _ in range(1 if shape == "huge" else LINKS)]
    size = 10**13 if shape == "huge" else SPARSE
    for name in names:
        if shape == "links" and name is not names[0]:
            os.link(folder / names[0], folder / name)
        else:
            (folder / name).touch()
            os.truncate(folder / name, size)
    reseal(
        path, THEIRS, spill=listed(*[[name, size, ZEROS] for name in names]), body=body, codec="pickle", protocol=5
    )


NONE = pickle.dumps(None)  # which refers to no buffer
ALL = pickle.dumps(
    [pickle.PickleBuffer(bytearray(9)) for _ in range(LINKS)], protocol=5, buffer_callback=lambda _: False
)
SHAPES = {
    "one file, none asked for": ("links", NONE, "None"), "holes, none asked for": ("holes", NONE, "None"),
    "one file, all asked for": ("links", ALL, "somebody else"), "holes, all asked for": ("holes", ALL, "somebody else"),
    "one file, a body": ("links", b"", "Corrupt"), "a huge body": ("huge", b"", "somebody else"),
}  # fmt: skip


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="the limit of memory is added to what there is")
@pytest.mark.parametrize(("shape", "body", "value"), SHAPES.values(), ids=SHAPES)
@pytest.mark.slow
def test_every_tool_stays_within_the_limits(path: Path, shape: str, body: bytes, value: str) -> None:
    planted(path, body=body, shape=shape)
    command = [sys.executable, str(CHILD), str(path), str(MEGABYTES)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    said = found["said"]
    assert value in said["get"]
    assert "somebody else" in said["verify"]
    assert "somebody else" in said["backup"]
    assert "somebody else" in said["recover"]
    assert said["other"] == repr(OTHER)
    assert found["seconds"] < CPU_SECONDS
    assert found["megabytes"] < MEGABYTES


def test_record_whose_files_are_holes_can_be_deleted(path: Path) -> None:
    """What the error says to do works."""
    planted(path, body=pickle.dumps(None), shape="links")
    with small_spill(path) as s:
        with pytest.raises(Corrupt, match="delete the record"):
            s.backup(path.with_name("copy.db"))
        del s["it"]
        s.compact()
        assert s.backup(path.with_name("copy.db")).records == 1


def test_buffers_of_somebody_else_are_read_as_they_are_asked_for(path: Path, opened: list[str]) -> None:
    with small_spill(path, key=THEIRS) as s:
        s["it"] = [Buffered(BIG), Buffered(OTHER)]
        row = s.opened.find("it")
        assert row is not None and row.spill is not None
    body = pickle.dumps("none of them", protocol=5)
    with small_spill(path, allow=[Buffered]) as s:
        assert s["it"] == [Buffered(BIG), Buffered(OTHER)]
    reseal(path, THEIRS, body=body)
    with small_spill(path) as s:
        opened.clear()
        assert s["it"] == "none of them"
        assert not [name for name in opened if name in row.spill]


@pytest.mark.slow
def test_holes_of_ours_are_read(path: Path) -> None:
    """A file system that compresses makes holes of zeros."""
    zeros = bytes(SPARSE + 1)
    with small_spill(path) as s:
        s["it"] = Buffered(zeros)
        (file,) = os.listdir(folder_of(path))
        (folder_of(path) / file).unlink()
        (folder_of(path) / file).touch()
        os.truncate(folder_of(path) / file, len(zeros))
        assert len(s["it"].data) == len(zeros)
        assert s.verify().ok
        assert s.backup(path.with_name("copy.db")).files == 1
