"""A shelf of the standard library moved over: with restraint, then with the class that it needs, and out again.

Run it from anywhere:

    python examples/importing.py
"""

import os
import shelve
import tempfile
from dataclasses import dataclass
from pathlib import Path

from store import Store
from store.export import export_to
from store.importers import import_into


@dataclass
class User:
    name: str


class Stranger:
    """What somebody else may have put into the file: unpickled by `shelve`, it runs a command."""

    def __reduce__(self):
        return os.system, ("echo the stranger was here",)


def report(results) -> None:
    for record in results:
        print(f"  {record.name:<8} {record.outcome:<10} {record.why[:60]}".rstrip())


def main(folder: Path) -> None:
    with shelve.open(str(folder / "old")) as shelf:
        shelf["theme"] = {"dark": True}
        shelf["alice"] = User("Alice")
        shelf["guest"] = Stranger()

    with Store(folder / "app.db") as s:
        print("plain data is imported, the rest waits for a word of yours:")
        report(import_into(s, "shelve", folder / "old"))

        print("with the class allowed, what is there already is left alone:")
        report(import_into(s, "shelve", folder / "old", allow=[User]))
        print("now here:", dict(s))

        print("and out again:")
        report(export_to(s, "shelve", folder / "new"))
    with shelve.open(str(folder / "new"), "r") as shelf:
        print("in a shelf:", dict(shelf))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        main(Path(scratch))
