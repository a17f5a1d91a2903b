"""Which mount a path lies on, and whether other machines share it, by tables as they are found in the field."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from store.system import mounts
from store.system.mounts import Mount, find, mount_of, parse_mount_command, parse_mountinfo

TABLES = Path(__file__).parent.parent / "samples" / "mounts"


def table(name: str) -> list[Mount]:
    text = (TABLES / f"{name}.txt").read_text()
    return parse_mount_command(text) if name == "macos" else parse_mountinfo(text)


@pytest.mark.parametrize(
    ("where", "path", "kind", "network"),
    [
        ("linux_laptop", "/var/lib/app.db", "ext4", False),
        ("linux_laptop", "/home/ada/app.db", "btrfs", False),
        ("linux_laptop", "/homeless/app.db", "ext4", False),  # begins like /home and is not below it
        ("linux_laptop", "/home/ada/nas/app.db", "cifs", True),
        ("linux_laptop", "/home/ada/nas2/app.db", "btrfs", False),
        ("linux_laptop", "/home/ada/server/app.db", "fuse.sshfs", True),
        ("linux_laptop", "/home/ada/My USB stick/app.db", "fuseblk", False),
        ("linux_laptop", "/home/ada/back\\slash\ttab/app.db", "nfs4", True),
        ("linux_laptop", "/srv/shared/app.db", "btrfs", False),  # bound from elsewhere
        ("linux_laptop", "/dev/shm/app.db", "tmpfs", False),
        ("docker", "/app/app.db", "overlay", False),
        ("docker", "/data/app.db", "ext4", False),
        ("docker", "/team/app.db", "nfs4", True),
        ("docker", "/team/scratch/app.db", "tmpfs", False),
        ("docker", "/etc/hosts", "ext4", False),  # a mount point that is a file
        ("kubernetes", "/cache/app.db", "ext4", False),
        ("kubernetes", "/models/app.db", "nfs", True),
        ("kubernetes", "/reports/app.db", "cifs", True),
        ("kubernetes", "/reports/local/app.db", "xfs", False),
        ("kubernetes", "/pool/app.db", "ceph", True),
        ("kubernetes", "/gluster/app.db", "fuse.glusterfs", True),
        ("kubernetes", "/bucket/app.db", "fuse.s3fs", True),
        ("kubernetes", "/database/app.db", "xfs", False),
        ("wsl2", "/home/ada/app.db", "ext4", False),
        ("wsl2", "/mnt/c/Users/ada/app.db", "9p", True),
        ("wsl2", "/mnt/d/app.db", "drvfs", True),
        ("wsl2", "/mnt/wsl/app.db", "tmpfs", False),
        ("wsl2", "/vm/app.db", "virtiofs", True),
        ("autofs", "/net/filer/export/app.db", "nfs4", True),
        ("autofs", "/net/other/app.db", "autofs", False),  # nothing is mounted there yet
        ("autofs", "/home/ada/app.db", "nfs4", True),  # on the trigger itself
        ("autofs", "/cover/deep/app.db", "ext4", False),  # what was mounted deeper is hidden by what came after it
        ("autofs", "/twice/app.db", "nfs4", True),  # the upper one of two
        ("macos", "/Users/ada/app.db", "apfs", False),
        ("macos", "/Volumes/Time on Volume/app.db", "smbfs", True),
        ("macos", "/Volumes/export/app.db", "nfs", True),
        ("macos", "/Volumes/USB/app.db", "exfat", False),
    ],
)
def test_path_in_a_recorded_table(where: str, path: str, kind: str, network: bool) -> None:
    mount = find(table(where), path)
    assert mount is not None
    assert (mount.type, mount.is_network()) == (kind, network)


def test_table_without_a_root_is_searched_for_the_longest_mount_point() -> None:
    found = [mount for mount in table("docker") if mount.point != "/"]
    assert getattr(find(found, "/team/app.db"), "type", None) == "nfs4"
    assert getattr(find(found, "/team/scratch/app.db"), "type", None) == "tmpfs"
    assert find(found, "/elsewhere/app.db") is None


def test_mounts_that_are_each_others_parents_end() -> None:
    found = parse_mountinfo("1 9 0:1 / / rw - ext4 a rw\n2 1 0:2 / /x rw - ext4 b rw\n1 2 0:3 / /x rw - nfs c rw\n")
    assert find(found, "/x/app.db") is not None


@pytest.mark.parametrize("line", ["", "garbage", "1 2 0:1 / /x rw", "a b 0:1 / /x rw - ext4 a rw", "1 2 - ext4"])
def test_line_that_is_none_is_left_out(line: str) -> None:
    assert parse_mountinfo(f"{line}\n5 1 0:1 / / rw - xfs a rw\n{line}") == parse_mountinfo("5 1 0:1 / / rw - xfs a rw")


@pytest.mark.parametrize(
    ("where", "path", "options"),
    [
        ("linux_laptop", "/home/ada/nas/a", ["nobrl"]),
        ("kubernetes", "/models/a", ["local_lock=all", "nolock"]),
        ("autofs", "/home/a", ["local_lock=flock"]),
        ("docker", "/team/a", []),
    ],
)
def test_locks_that_stay_on_this_machine(where: str, path: str, options: list[str]) -> None:
    mount = find(table(where), path)
    assert mount is not None
    assert mount.local_locks() == options


@pytest.mark.parametrize("kind", ["fuse.rclone", "fuse.mergerfs", "fuse", "fuse.shfs", "smb3", "lustre", "gpfs", "afs"])
def test_type_that_counts_as_a_network(kind: str) -> None:
    assert Mount("/x", kind).is_network()


def test_path_on_this_machine(tmp_path: Path) -> None:
    """As the kernel has it: the device of the mount point is that of the file, or its file system has several."""
    mount = mount_of(os.path.realpath(tmp_path / "app.db"))
    assert mount is not None
    assert os.stat(mount.point).st_dev == os.stat(tmp_path).st_dev or mount.type in ("btrfs", "overlay")


def test_table_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounts, "_MOUNTINFO", str(tmp_path / "none"))
    assert mount_of(str(tmp_path / "app.db")) is None
    command = tmp_path / "mount"
    command.write_text(f"#!/bin/sh\ncat '{TABLES / 'macos.txt'}'\n")
    command.chmod(0o755)
    monkeypatch.setattr(mounts, "_MOUNT_COMMAND", str(command))
    monkeypatch.setattr("sys.platform", "darwin")
    assert getattr(mount_of("/Volumes/export/app.db"), "type", None) == "nfs"


def test_file_system_that_is_read_only_and_a_mount_that_is() -> None:
    """A container that is shown a folder read-only: its host writes there."""
    found = parse_mountinfo(
        "1 0 0:1 / / rw - ext4 /dev/sda1 rw\n"
        "2 1 0:1 /srv /shown ro,relatime - ext4 /dev/sda1 rw\n"
        "3 1 7:0 / /disc ro,relatime - squashfs /dev/loop0 ro,errors=continue\n"
    )
    assert [mount.read_only for mount in found] == [False, False, True]


def test_table_is_read_again_where_something_else_is_mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = os.path.realpath(tmp_path / "app.db")
    before = mount_of(path)
    monkeypatch.setattr(mounts, "_mounts", lambda: [Mount("/", "nfs")])
    assert mount_of(path) == before
    device = os.stat(tmp_path).st_dev
    monkeypatch.setitem(mounts._known, path, (device + 1, before))
    assert mount_of(path) == Mount("/", "nfs")
    for number in range(2 * mounts.KNOWN):
        mount_of(f"{path}{number}")
    assert len(mounts._known) <= mounts.KNOWN
