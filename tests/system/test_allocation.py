"""The blocks of a file, allocated before it is written."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from store.system import allocation
from store.system.allocation import allocate
from store.system.mounts import Mount

SIZE = 100_000

pytestmark = pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the system cannot allocate")


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    with open(tmp_path / "file", "wb") as file:
        yield file.fileno()


def on(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocation, "mount_of", lambda path: Mount("/", kind))


def test_file_has_its_size_before_it_is_written(
    tmp_path: Path, descriptor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    on("ext4", monkeypatch)
    allocate(descriptor, SIZE, str(tmp_path))
    assert os.fstat(descriptor).st_size == SIZE


@pytest.mark.parametrize("kind", ["ext3", "btrfs", "tmpfs", "zfs", "overlay", "nfs4", "fuse.sshfs"])
def test_file_system_without_a_gain(
    tmp_path: Path, descriptor: int, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    on(kind, monkeypatch)
    allocate(descriptor, SIZE, str(tmp_path))
    assert os.fstat(descriptor).st_size == 0


def test_unknown_mount_and_empty_file(tmp_path: Path, descriptor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    on("ext4", monkeypatch)
    allocate(descriptor, 0, str(tmp_path))
    monkeypatch.setattr(allocation, "mount_of", lambda path: None)
    allocate(descriptor, SIZE, str(tmp_path))
    assert os.fstat(descriptor).st_size == 0


def test_mount_is_that_of_the_folder(tmp_path: Path, descriptor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another file system may be mounted at the folder of the large values."""
    asked: list[str] = []
    on("ext4", monkeypatch)
    monkeypatch.setattr(allocation, "mount_of", asked.append)
    allocate(descriptor, SIZE, str(tmp_path))
    assert [os.path.dirname(path) for path in asked] == [str(tmp_path)]


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF])
def test_file_that_cannot_be_allocated_is_written_without(
    tmp_path: Path, descriptor: int, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    on("ext4", monkeypatch)
    monkeypatch.setattr(allocation.os, "posix_fallocate", refusing(number))
    allocate(descriptor, SIZE, str(tmp_path))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_is_an_error(tmp_path: Path, descriptor: int, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    on("ext4", monkeypatch)
    monkeypatch.setattr(allocation.os, "posix_fallocate", refusing(number))
    with pytest.raises(OSError) as caught:
        allocate(descriptor, SIZE, str(tmp_path))
    assert caught.value.errno == number


def refusing(number: int) -> Any:
    def refuse(descriptor: int, offset: int, size: int) -> None:
        raise OSError(number, os.strerror(number))

    return refuse
