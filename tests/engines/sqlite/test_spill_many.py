"""Many large values at once, where few descriptors may be open (256 is the default of macOS)."""

from __future__ import annotations

import gc
import os
import pickle
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from buffered import Buffered
from spilling import BIG, OTHER, files, folder_of, small_spill

from store import Store
from store.care.raw import export_raw, import_raw
from store.engines.sqlite.spill import mapping as spill_mapping
from store.importers.run import import_into

MANY = 100
SPARE = 40  # descriptors that may be opened: a store needs some, and a connection


@contextmanager
def few_descriptors() -> Iterator[None]:
    """In it this process may open no more than so many."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + SPARE, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def many() -> dict[str, Buffered]:
    return {f"name {number:03}": Buffered(BIG + b"%d" % number) for number in range(MANY)}


def in_transaction(s: Store[Any]) -> None:
    with s.transaction():
        for name, value in many().items():
            s[name] = value


def in_nested_ones(s: Store[Any]) -> None:
    with s.transaction():
        for name, value in many().items():
            with s.transaction():
                s.put(name, value)


@pytest.mark.parametrize("write", [in_transaction, in_nested_ones, lambda s: s.update(many())])
def test_write_in_one_transaction(path: Path, write: Callable[[Store[Any]], Any]) -> None:
    with few_descriptors(), small_spill(path) as s:
        write(s)
        assert len(files(path)) == MANY
        assert dict(s) == many()
        assert s.verify().ok and s.compact().files == 0


def test_write_that_is_rolled_back_leaves_no_file(path: Path) -> None:
    with few_descriptors(), small_spill(path) as s:
        with pytest.raises(ZeroDivisionError), s.transaction():
            s.update(many())
            raise ZeroDivisionError
        assert files(path) == [] and s.opened.engine.blobs._pending == {}  # type: ignore[union-attr]


def test_files_of_a_transaction_are_no_orphans_until_it_ends(path: Path) -> None:
    """One descriptor holds the folder's lock for all of them, until the last one is committed."""
    with small_spill(path) as s, small_spill(path) as other:
        with s.transaction():
            s["a"] = BIG
            s["b"] = OTHER
            del s["a"]
            assert other.verify().orphans == []
        assert s.compact().files == 1 and s["b"] == OTHER


def test_folder_that_was_removed_meanwhile_is_made_anew(path: Path) -> None:
    with small_spill(path) as s:
        with s.transaction():
            s["a"] = BIG
            del s["a"]
            for file in files(path):
                (folder_of(path) / file).unlink()
            folder_of(path).rmdir()
            s["b"] = OTHER
        assert s["b"] == OTHER and len(files(path)) == 1


def test_import(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pickles"
    folder.mkdir()
    for number in range(MANY):
        (folder / f"{number:03}.pkl").write_bytes(pickle.dumps(BIG + b"%d" % number))
    with few_descriptors(), small_spill(path) as s:
        assert {done.outcome for done in import_into(s, "pickles", folder)} == {"imported"}
        assert len(files(path)) == MANY and s.verify().ok


@pytest.mark.slow
def test_import_of_raw_records(path: Path, tmp_path: Path) -> None:
    with small_spill(path) as s:
        s.update(many())
        lines = list(export_raw(s.opened))
    with few_descriptors(), small_spill(tmp_path / "new.db") as s:
        assert len(list(import_raw(s.opened, lines))) == MANY
        assert dict(s) == many()


def test_values_are_read_all_at_once(path: Path) -> None:
    with small_spill(path) as s:
        s.update(many())
        with few_descriptors():
            found = dict(s)
            values = list(s.values())
        assert found == many() and values == list(many().values())
        assert all(value.data.readonly for value in values)


def test_mapped_array_keeps_no_descriptor(path: Path) -> None:
    np = pytest.importorskip("numpy")
    with small_spill(path) as s:
        for number in range(MANY):
            s[str(number)] = np.full(500, number)
        with few_descriptors():
            found = dict(s)
        assert all((found[str(number)] == number).all() for number in range(MANY))


needs_the_library = pytest.mark.skipif(sys.version_info >= (3, 13), reason="mmap itself can keep no descriptor")


def test_map_lives_as_long_as_what_refers_to_it(tmp_path: Path) -> None:
    path = tmp_path / "content"
    content = b"content" * 10_000
    path.write_bytes(content)
    descriptor = os.open(path, os.O_RDONLY)
    view = spill_mapping.map_file(descriptor, len(content))
    os.close(descriptor)
    path.unlink()
    assert (view.readonly, view.format, view.itemsize, view.nbytes) == (True, "B", 1, len(content))
    assert memoryview(view.obj).readonly
    part = view[7:14]
    del view
    gc.collect()
    assert bytes(part) == b"content" and _maps(path) == 1
    del part
    gc.collect()
    assert _maps(path) == 0


def _maps(path: Path) -> int:
    """How often the file is mapped into this process."""
    return Path("/proc/self/maps").read_text().count(f"{path} ")


@needs_the_library
def test_map_that_is_refused_is_the_systems_error(path: Path) -> None:
    library = spill_mapping._library()
    descriptor = os.open(os.path.dirname(path), os.O_RDONLY)  # a folder cannot be mapped
    try:
        with pytest.raises(OSError) as caught:
            spill_mapping._put_in_place(library, descriptor, 100)
    finally:
        os.close(descriptor)
        spill_mapping._given_up.clear()
    assert caught.value.errno


@needs_the_library
def test_without_ctypes_values_are_mapped_all_the_same(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spill_mapping, "_library", lambda: None)
    with small_spill(path) as s:
        s["it"] = Buffered(BIG)
        assert s["it"] == Buffered(BIG) and s["it"].data.readonly
