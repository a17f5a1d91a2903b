"""Objects, settings, a session, and a second process, in one store.

Run it from anywhere:

    python examples/quickstart.py              # in a temporary directory, which is removed
    python examples/quickstart.py app.db       # in a file that is kept; run it again on the same file
"""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field

from store import Store


@dataclass
class User:
    name: str
    friends: list["User"] = field(default_factory=list)


def objects(s: Store) -> None:
    """An object of any class that pickle knows, under a name; classes of your own need nothing special."""
    alice, bob = User("Alice"), User("Bob")
    alice.friends.append(bob)
    bob.friends.append(alice)
    s["user:1"] = alice

    found = s["user:1"]
    print(f"{found.name}'s friend {found.friends[0].name} is a friend of {found.friends[0].friends[0].name}")
    print("what is known of the record:", s.record("user:1").type, s.record("user:1").size, "bytes")


def settings(s: Store) -> None:
    """What you read is a copy; `edit` reads, lets you change, and writes back, as one step."""
    s.setdefault("settings", {"theme": "dark", "font_size": 14})
    with s.edit("settings") as current:
        current["theme"] = "light"
    print("settings:", s["settings"])


def session(s: Store) -> None:
    """A record with a lifetime, in seconds, is gone when that has passed."""
    s.put("session:4f2a", {"user": "user:1", "cart": ["book"]}, ttl=1800)
    s.put("session:9c31", {"user": "user:2", "cart": []}, ttl=0.01)
    time.sleep(0.02)
    print("sessions that live:", s.names("session:"))


SECOND_PROCESS = """
import sys
from store import Store

with Store(sys.argv[1]) as s:
    with s.edit("settings") as settings:
        settings["font_size"] += 2
    s.incr("visits")
"""


def another_process(s: Store, path: str) -> None:
    """Another process changes what this one has open, and this one sees it at once."""
    before = s.get("visits", 0), s["settings"]["font_size"]
    subprocess.run([sys.executable, "-c", SECOND_PROCESS, path], check=True)
    after = s["visits"], s["settings"]["font_size"]
    print("visits and font size before the other process ran:", before, "and after:", after)


def main(path: str) -> None:
    with Store(path) as s:
        objects(s)
        settings(s)
        session(s)
        another_process(s, path)

    with Store(path, mode="r") as s:  # nothing is lost when a program ends
        print("opened again:", s, "with", ", ".join(s))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(os.path.join(folder, "quickstart.db"))
