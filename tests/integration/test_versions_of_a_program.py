"""A small application and what becomes of it: three versions, each a program of its own, on one store.

Version 2 renames a class, adds a field with a class version and a nested class; version 3 moves everything to a
package, renames again, drops one field and replaces another.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

VERSION_1 = {
    "people.py": """
        import enum
        from dataclasses import dataclass, field

        class Colour(enum.Enum):
            RED = 1
            BLUE = 2

        class Person:
            def __init__(self, name):
                self.name = name

        @dataclass
        class Team:
            title: str
            members: list = field(default_factory=list)
            fax: str = ""
        """,
    "program.py": """
        import sys
        from people import Colour, Person, Team
        from store import Store

        with Store(sys.argv[1], protocol=int(sys.argv[2])) as s:
            ann, bob = Person("Ann"), Person("Bob")
            s["ann"] = ann
            s["team"] = Team("Red", [ann, bob], "123")
            s["mixed"] = {"of": [(bob, {"by": Colour.BLUE})], "cls": Person}
            s["plain"] = [1, 2]
        print("{}")
        """,
}
VERSION_2 = {
    "people.py": """
        import enum
        from dataclasses import dataclass, field
        import store

        class Colour(enum.Enum):
            RED = 1
            BLUE = 2

        @store.versioned(2)
        class User:                                     # was Person
            __slots__ = ("name", "email")

            def __init__(self, name, email):
                self.name, self.email = name, email

            @classmethod
            def __upgrade__(cls, state, from_version):
                assert from_version == 1, from_version
                return {"name": state["name"], "email": f"{state['name'].lower()}@example.org"}

        @store.versioned(2)
        @dataclass
        class Team:
            title: str
            members: list = field(default_factory=list)
            fax: str = ""
            size: int = 0

            @classmethod
            def __upgrade__(cls, state, from_version):
                state["size"] = len(state["members"])
                return state
        """,
    "program.py": """
        import json, sys
        from people import Colour, Team, User
        from store import Store

        with Store(sys.argv[1], renames={"people.Person": "people.User"}) as s:
            team, (bob, by) = s["team"], s["mixed"]["of"][0]
            assert type(bob) is User and by["by"] is Colour.BLUE and s["mixed"]["cls"] is User
            assert type(team) is Team and all(type(member) is User for member in team.members)
            found = {"ann": s["ann"].email, "team": [m.email for m in team.members], "size": team.size, "bob": bob.email}
            s["eve"] = User("Eve", "eve@example.com")       # written by version 2 under its own names
            with s.edit("team") as team:
                team.members.append(User("Tim", "tim@example.com"))
                team.size += 1
        print(json.dumps(found))
        """,
}
VERSION_3 = {
    "club/__init__.py": "",
    "club/members.py": """
        import enum
        from dataclasses import dataclass, field
        import store

        class Shade(enum.Enum):                         # was people.Colour
            RED = 1
            BLUE = 2

        @store.versioned(3)
        @dataclass(slots=True, frozen=True)
        class Member:                                   # was people.User, was people.Person
            name: str
            emails: tuple                               # was email

            @classmethod
            def __upgrade__(cls, state, from_version):  # one step at a time
                if from_version == 1:
                    return cls.__upgrade__({**state, "email": None}, 2)
                email = state.pop("email")
                return {**state, "emails": (email,) if email else ()}

        @store.versioned(3)
        @dataclass
        class Team:
            title: str
            members: list = field(default_factory=list)
            size: int = 0                               # fax was dropped

            @classmethod
            def __upgrade__(cls, state, from_version):
                state.pop("fax")
                state.setdefault("size", len(state["members"]))
                return state
        """,
    "program.py": """
        import json, sys
        from club.members import Member, Shade, Team
        from store import Store

        RENAMES = {"people.Person": "people.User", "people.User": "club.members.Member",
                   "people.Colour": Shade, "people": "club.members"}
        with Store(sys.argv[1], renames=RENAMES) as s:
            team, (bob, by) = s["team"], s["mixed"]["of"][0]
            assert type(bob) is Member and by["by"] is Shade.BLUE and s["mixed"]["cls"] is Member
            assert type(team) is Team and not hasattr(team, "fax")
            assert all(type(member) is Member for member in team.members)
            found = {"ann": s["ann"].emails, "eve": s["eve"].emails, "size": team.size, "bob": bob.emails,
                     "team": [m.emails for m in team.members], "plain": s["plain"]}
        print(json.dumps(found))
        """,
}


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text))
    return folder


def run(folder: Path, *args: object, program: tuple[str, ...] = ("program.py",)) -> subprocess.CompletedProcess[str]:
    where = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")]))
    command = [sys.executable, "-W", "error", *program, *map(str, args)]
    return subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": where}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip


def result(folder: Path, *args: object) -> Any:
    done = run(folder, *args)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def versions(tmp_path: Path) -> list[Path]:
    programs = (VERSION_1, VERSION_2, VERSION_3)
    return [write(tmp_path / f"v{number}", files) for number, files in enumerate(programs, 1)]


@pytest.mark.parametrize("protocol", [0, 2, 5])
@pytest.mark.slow
def test_store_of_version_1_is_read_by_versions_2_and_3(versions: list[Path], path: Path, protocol: int) -> None:
    result(versions[0], path, protocol)
    by_2 = result(versions[1], path)
    assert by_2 == {
        "ann": "ann@example.org", "team": ["ann@example.org", "bob@example.org"], "size": 2, "bob": "bob@example.org",
    }  # fmt: skip
    by_3 = result(versions[2], path)
    assert by_3 == {
        "ann": [],  # as version 1 wrote it: version 3 goes the whole way from there
        "eve": ["eve@example.com"],
        "size": 3, "bob": [], "plain": [1, 2],
        "team": [["ann@example.org"], ["bob@example.org"], ["tim@example.com"]],  # as version 2 wrote it back
    }  # fmt: skip


@pytest.mark.slow
def test_version_1_says_what_it_does_not_know(versions: list[Path], path: Path) -> None:
    result(versions[0], path, 5)
    result(versions[1], path)
    code = "import people, sys, store; store.Store(sys.argv[1])[sys.argv[2]]"
    new = run(versions[0], path, "eve", program=("-c", code))
    assert "ClassNotFound: record 'eve': it is made of 'people.User', which is not there any more" in new.stderr
    team = run(versions[0], path, "team", program=("-c", code))
    assert "ClassNotFound: record 'team'" in team.stderr


@pytest.mark.heavy
def test_upgrade_brings_all_records_to_version_3(versions: list[Path], path: Path) -> None:
    result(versions[0], path, 2)
    result(versions[1], path)
    renames = ["people.Person=people.User", "people.User=club.members.Member", "people.Colour=club.members.Shade"]
    options = [part for rename in [*renames, "people=club.members"] for part in ("--rename", rename)]
    dry = run(versions[2], "upgrade", path, "--dry-run", *options, program=("-m", "store"))
    assert dry.returncode == 0, dry.stderr
    assert "ann: pickle 2 → pickle 5, club.members.Member 1 → 3, people.Person → club.members.Member" in dry.stdout
    assert dry.stdout.splitlines()[-1] == "to be upgraded 5, current 0, left 0, failed 0"
    done = run(versions[2], "upgrade", path, *options, program=("-m", "store"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "upgraded 5, current 0, left 0, failed 0\n"
    again = run(versions[2], "upgrade", path, *options, program=("-m", "store"))
    assert again.stdout == "upgraded 0, current 5, left 0, failed 0\n"
    # Now no rename is needed any more.
    code = "import sys, store; s = store.Store(sys.argv[1]); print(s['ann'], s['mixed']['of'][0][0].emails, s['team'].size)"
    now = run(versions[2], path, program=("-c", code))
    assert now.stdout == "Member(name='Ann', emails=()) () 3\n", now.stderr
