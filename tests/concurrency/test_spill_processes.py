"""Large values between processes and forks: mapped ones stay, writes in progress are no orphans."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from spilling import BIG, OTHER, files, folder_of, small_spill

REPLACES = """
    import sys
    from store import Store

    with Store(sys.argv[1], spill_bytes=1000) as s:
        print("ready", flush=True)
        for line in sys.stdin:
            what, _, text = line.strip().partition(" ")
            if what == "set":
                s["it"] = text.encode() * 1000
            elif what == "del":
                del s["it"]
            elif what == "compact":
                s.compact()
            print("done", flush=True)
"""


def told(child: Any, line: str) -> None:
    child.tell(line)
    assert child.line() == "done"


@pytest.mark.slow
def test_value_that_is_mapped_while_others_replace_and_delete_it(path: Path, program: Any) -> None:
    numpy = pytest.importorskip("numpy")
    array = numpy.arange(100_000)
    with small_spill(path) as s:
        s["it"] = array
        mapped = s["it"]
        child = program(REPLACES, path)
        assert child.line() == "ready"
        told(child, "set new")
        told(child, "compact")
        assert len(files(path)) == 1
        assert (mapped == array).all()
        assert s["it"] == b"new" * 1000
        told(child, "del")
        told(child, "compact")
        assert files(path) == []
        assert (mapped == array).all() and "it" not in s


WRITER = """
    import sys
    from store import Store
    import store.engines.sqlite.spill.files as spill

    with Store(sys.argv[1], spill_bytes=1000) as s:
        row = s.opened.pack("it", b"big" * 1000, None)
        print("written", flush=True)
        input()
        s.opened.put(row)
        print("stored", flush=True)
"""


@pytest.mark.slow
def test_write_in_progress_is_no_orphan(path: Path, program: Any) -> None:
    """Its files are named by no row yet. Nobody waits for them longer than the timeout."""
    with small_spill(path, timeout=0.0) as s:
        s["before"] = 1
        child = program(WRITER, path)
        assert child.line() == "written"
        assert len(files(path)) == 1
        assert s.verify().orphans == []
        assert s.compact().orphans == 0
        assert len(files(path)) == 1
        child.tell()
        assert child.line() == "stored"
        assert s["it"] == BIG
        assert s.compact().orphans == 0
        assert s["it"] == BIG


@pytest.mark.orphans
def test_writer_that_was_killed_leaves_an_orphan_alone(path: Path, program: Any) -> None:
    with small_spill(path, timeout=0.0) as s:
        s["before"] = OTHER
        child = program(WRITER, path)
        assert child.line() == "written"
        child.kill()
        (orphan,) = [file for file in files(path) if file not in str(s.opened.find("before"))]
        found = s.verify()
        assert (found.orphans, found.files, found.ok) == ([orphan], [], True)
        freed = s.compact()
        assert (freed.orphans, freed.files) == (1, 0) and freed.file_bytes >= len(BIG)
        assert dict(s) == {"before": OTHER} and len(files(path)) == 1
        assert s.verify().orphans == []


CROWD = """
    import sys
    from store import Store

    path, number = sys.argv[1], int(sys.argv[2])
    print("ready", flush=True)
    input()
    with Store(path, spill_bytes=1000) as s:
        for i in range(40):
            if number < 2:
                s[f"n{i % 4}"] = bytes([number, i]) * 2000
                assert len(s.get(f"n{(i + 1) % 4}", bytes(4000))) == 4000
            else:
                s.compact()
                assert not s.verify().files
"""


@pytest.mark.heavy
def test_compact_beside_writers_loses_nothing(path: Path, program: Any) -> None:
    with small_spill(path):
        children = [program(CROWD, path, number) for number in range(4)]
        assert [child.line() for child in children] == ["ready"] * 4
        for child in children:
            child.tell()
        assert [child.output() for child in children] == [""] * 4
    with small_spill(path) as s:
        s.compact()
        assert all(len(value) == 4000 for value in s.values()) and s.verify().ok
        assert len(files(path)) == 4


def test_fork_shares_what_is_mapped_and_nothing_else(path: Path, forked: Any) -> None:
    with small_spill(path) as s:
        s["it"] = BIG
        pending = s.opened.pack("later", OTHER, None)

        def child() -> Any:
            s["child"] = OTHER
            return s["it"], s.opened.engine.blobs._pending  # type: ignore[union-attr]

        assert forked(child).result() == (BIG, {})
        s.opened.put(pending)  # which the child left alone
        assert (s["child"], s["later"]) == (OTHER, OTHER)
        assert s.verify().ok and s.verify().orphans == []


def test_child_of_a_fork_does_not_keep_a_write_in_progress(path: Path, forked: Any) -> None:
    """The folder's lock goes with the last descriptor, and a copy of it may live for long."""
    with small_spill(path, timeout=0.0) as s:
        s["before"] = 1
        pending = s.opened.pack("it", BIG, None)
        (read, write), (begun, begin) = os.pipe(), os.pipe()
        child = forked(lambda: os.write(begin, b"x") and os.read(read, 1) and None)
        os.read(begun, 1)  # what it does at its start is done
        try:
            s.opened.put(pending)
            (folder_of(path) / ("0" * 32 + "-" + "0" * 32)).write_bytes(b"x")
            assert s.compact().orphans == 1
        finally:
            os.write(write, b"x")
            child.result()
            for end in (read, write, begun, begin):
                os.close(end)


def test_files_are_synced_before_the_row_is_committed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with small_spill(path) as s:
        s["before"] = 1
        steps: list[str] = []
        slot = s.opened.engine.handle.engine.connection()  # type: ignore[attr-defined]
        run, fsync = type(slot).run, os.fsync

        def watched(self: Any, sql: str, *args: Any) -> Any:
            if sql == "COMMIT":
                steps.append("commit")
            return run(self, sql, *args)

        def synced(descriptor: int) -> None:
            steps.append(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
            fsync(descriptor)

        monkeypatch.setattr(type(slot), "run", watched)
        monkeypatch.setattr(os, "fsync", synced)
        s["it"] = BIG
        (file,) = files(path)
        assert steps[: steps.index("commit")] == [path.parent.name, file, folder_of(path).name]


def test_nothing_is_left_open(path: Path) -> None:
    def count() -> int:
        return len(os.listdir("/proc/self/fd"))

    with small_spill(path) as s:
        s["it"] = OTHER
        before = count()
        for _ in range(5):
            s["it"] = BIG
            assert s["it"] == BIG
        s.compact()
        s.verify()
        assert count() == before
