"""The model of a disk: what fsync promises is there after a power cut, and of all else anything may be."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from .power.disk import SECTOR, Cut, Disk, Files
from .power.log import Entry

ROOT = "/disk"
KEPT, LOST = Cut(1, 1, "journal"), Cut(0, 0, "journal")
ANY = Cut(0.5, 0.5, "any")
TRIALS = 300


def disk(*entries: Entry) -> Disk:
    """One that has a folder with a file in it, on which things happen."""
    found = Disk(ROOT, {"": (1, None), "folder": (2, None), "folder/old": (3, b"old")})
    for entry in entries:
        found.apply(entry)
    return found


def create(path: str, inode: int) -> Entry:
    return Entry("create", f"{ROOT}/{path}", "", inode, 0, b"")


def write(inode: int, offset: int, data: bytes) -> Entry:
    return Entry("write", "", "", inode, offset, data)


def truncate(inode: int, size: int) -> Entry:
    return Entry("truncate", "", "", inode, size, b"")


def sync(inode: int) -> Entry:
    return Entry("sync", "", "", inode, 0, b"")


def names(kind: str, path: str, other: str = "") -> Entry:
    return Entry(kind, f"{ROOT}/{path}", other and f"{ROOT}/{other}", 0, 0, b"")


def outcomes(found: Disk, cut: Cut, of: Callable[[Files], object]) -> set[object]:
    rng = Random(0)
    return {of(found.after_cut(rng, cut)) for _ in range(TRIALS)}


def content(path: str) -> Callable[[Files], object]:
    return lambda files: files.get(path, "no such file")


def test_base_is_there():
    assert disk().after_cut(Random(0), LOST) == {"folder": None, "folder/old": b"old"}


def test_write_that_was_not_synced():
    found = disk(write(3, 0, b"new"))
    assert found.live()["folder/old"] == b"new"
    assert found.after_cut(Random(0), LOST)["folder/old"] == b"old"
    assert found.after_cut(Random(0), KEPT)["folder/old"] == b"new"


def test_write_that_was_synced():
    found = disk(write(3, 0, b"new"), sync(3), write(3, 3, b" and more"))
    assert found.after_cut(Random(0), LOST)["folder/old"] == b"new"
    assert {bytes(text)[:3] for text in outcomes(found, ANY, content("folder/old"))} == {b"new"}


def test_writes_are_reordered():
    found = disk(write(3, 0, b"1"), write(3, 2, b"2"))
    assert {b"old", b"1ld", b"ol2", b"1l2"} <= outcomes(found, ANY, content("folder/old"))


def test_write_is_torn_between_sectors_and_not_within():
    found = disk(write(3, 0, b"x" * 3 * SECTOR), sync(3), write(3, SECTOR - 100, b"y" * SECTOR))
    torn = {(bytes(text)[SECTOR - 100 : SECTOR], bytes(text)[SECTOR : 2 * SECTOR - 100]) for text in outcomes(found, ANY, content("folder/old"))}
    assert torn == {(first * 100, second * (SECTOR - 100)) for first in (b"x", b"y") for second in (b"x", b"y")}


def test_size_without_its_data_and_data_without_its_size():
    found = disk(write(3, 3, b"more"))
    texts = outcomes(found, ANY, content("folder/old"))
    assert {b"old", b"oldmore", b"old\0\0\0\0"} < texts
    assert {len(bytes(text)) for text in texts} == {3, 7}


def test_truncation_that_was_not_synced():
    assert {b"old", b"", b"new"} <= outcomes(disk(truncate(3, 0), write(3, 0, b"new")), ANY, content("folder/old"))


def test_new_file_is_synced_and_its_name_is_not():
    found = disk(create("folder/new", 4), write(4, 0, b"new"), sync(4))
    assert outcomes(found, ANY, content("folder/new")) == {b"new", "no such file"}
    assert outcomes(disk(create("folder/new", 4), write(4, 0, b"new"), sync(4), sync(2)), ANY, content("folder/new")) == {b"new"}


def test_file_in_a_new_folder_whose_name_is_not_synced():
    made = [Entry("mkdir", f"{ROOT}/inner", "", 5, 0, b""), create("inner/new", 4), sync(4), sync(5)]
    assert outcomes(disk(*made), ANY, content("inner/new")) == {b"", "no such file"}
    assert outcomes(disk(*made, sync(1)), ANY, content("inner/new")) == {b""}


def test_removal_that_was_not_synced():
    assert outcomes(disk(names("unlink", "folder/old")), ANY, content("folder/old")) == {b"old", "no such file"}
    assert outcomes(disk(names("unlink", "folder/old"), sync(2)), ANY, content("folder/old")) == {"no such file"}


def test_rename_is_there_whole_or_not_at_all():
    found = disk(create("folder/new", 4), write(4, 0, b"new"), sync(4), sync(2), names("rename", "folder/new", "folder/old"))
    pairs = outcomes(found, ANY, lambda files: (files["folder/old"], "folder/new" in files))
    assert pairs == {(b"old", True), (b"new", False)}


def test_order_of_names():
    """A journal keeps it: the second name is never there without the first."""
    found = disk(create("a", 4), create("b", 5))

    def pair(files: Files) -> tuple[bool, bool]:
        return "a" in files, "b" in files

    assert outcomes(found, Cut(0, 0.5, "journal"), pair) == {(False, False), (True, False), (True, True)}
    assert outcomes(found, Cut(0, 0.5, "any"), pair) == {(False, False), (True, False), (True, True), (False, True)}


def test_second_name_of_a_file():
    found = disk(names("link", "folder/old", "folder/also"), sync(2), write(3, 0, b"new"), sync(3))
    assert found.after_cut(Random(0), LOST) == {"folder": None, "folder/old": b"new", "folder/also": b"new"}


def test_inode_that_comes_back_is_another_file():
    found = disk(names("unlink", "folder/old"), create("folder/new", 3), write(3, 0, b"new"))
    assert outcomes(found, Cut(1, 0, "any"), content("folder/old")) == {b"old"}
    assert found.live() == {"folder": None, "folder/new": b"new"}
