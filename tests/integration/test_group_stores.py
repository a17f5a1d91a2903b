"""Session stores that several users of a group share, and those that are one user's own."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be several users")

GROUP, STRANGERS = 54321, 54399  # numbers that nobody has
USERS = {"ann": 54001, "ben": 54002, "cem": 54003}
EVERYBODYS = tempfile.gettempdir()  # the machine's; each test has a temporary folder of its own

PROGRAM = """
import os, sys, tempfile, store.errors, store.codecs.restricted.machine
from store import Store
from store.sessions import Sessions
key = "the key that they share"
with tempfile.TemporaryDirectory() as folder:  # whatever is imported late is imported now, with rights
    with Sessions(folder + "/a.db", key=key, group=0) as sessions:
        with sessions.edit(sessions.create({})) as data:
            data["n"] = 1
    with Store(folder + "/a.db", key=key, spill_bytes=100) as s, s.lock("mine"):
        s["large"] = "x" * 1000
        s["large"]
path, user, umask, *groups = sys.argv[1:]
os.umask(int(umask))
os.setgroups(list(map(int, groups)))
os.setgid(int(user))
os.setuid(int(user))
"""


def run_as(user: str, path: Path, code: str, *, groups: tuple[int, ...] = (GROUP,), umask: int = 0o077) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + code, str(path), *map(str, (USERS[user], umask, *groups))],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that those users reach, as pytest's own cannot be."""
    made = Path(tempfile.mkdtemp(prefix="store-group-", dir=EVERYBODYS))
    os.chown(made, 0, GROUP)
    made.chmod(0o770)
    yield made
    shutil.rmtree(made)


MAKE = f"print(Sessions(path, key=key, group={GROUP}).create({{'n': 0}}))"
SHARE = """
with Sessions(path, key=key, mode='w') as sessions:
    with sessions.edit({id!r}) as data:
        data['n'] += 1
    with Store(path, namespace='other', key=key, spill_bytes=100) as s, s.lock('mine'):
        s[{user!r}] = 'x' * 1000
        print(*(len(s[name]) for name in s), [os.stat(path + x).st_gid for x in ('-wal', '-shm')])
"""


@pytest.mark.heavy
@pytest.mark.parametrize("setgid", [False, True])
def test_three_users_of_a_group_share_a_session_store(folder: Path, setgid: bool) -> None:
    folder.chmod(0o2770 if setgid else 0o770)
    path = folder / "app.db"
    id = run_as("ann", path, MAKE)
    sizes = ["1000", "1000 1000", "1000 1000 1000"]
    for user, seen in zip(USERS, sizes, strict=True):
        assert run_as(user, path, SHARE.format(id=id, user=user)) == f"{seen} [{GROUP}, {GROUP}]"
    assert run_as("ann", path, f"print(Sessions(path, key=key).load({id!r}))") == "{'n': 3}"
    for file in folder.rglob("*"):
        assert stat.S_IMODE(file.stat().st_mode) & 0o777 == (0o770 if file.is_dir() else 0o660), file
    assert {file.stat().st_gid for file in folder.rglob("*")} == {GROUP}


@pytest.mark.slow
def test_group_of_others_is_refused_and_nothing_is_left(folder: Path) -> None:
    code = f"""
try:
    Sessions(path, key=key, group={STRANGERS})
except store.errors.StorageError as exc:
    print(type(exc).__name__, exc)
print(os.path.exists(path))
"""
    said = run_as("ann", folder / "app.db", code)
    assert said.startswith(f"StorageError {folder}/app.db cannot be given to the group {STRANGERS}, and was not made: ")
    assert said.endswith("\nFalse")


@pytest.mark.slow
def test_session_store_is_closed_to_other_users(folder: Path) -> None:
    run_as("ann", folder / "app.db", "Sessions(path, key=key).create({})")
    code = "try:\n    Sessions(path, key=key)\nexcept store.errors.StoreError as exc:\n    print(type(exc).__name__)"
    assert run_as("ben", folder / "app.db", code) in ("ReadOnly", "StorageError")


@pytest.mark.slow
def test_what_a_user_outside_the_group_makes_is_not_opened_to_a_group_of_theirs(folder: Path) -> None:
    run_as("ann", folder / "app.db", MAKE)
    (folder / "app.db.lock").unlink()
    os.chown(folder, USERS["ann"], GROUP)
    run_as("ann", folder / "app.db", "Store(path, key=key)['a'] = 1", groups=())
    lock = (folder / "app.db.lock").stat()
    assert (lock.st_gid, stat.S_IMODE(lock.st_mode)) == (USERS["ann"], 0o600)
