"""Settings of a program: typed, with defaults, shared by processes, as TOML, and told of when they change.

Run it from anywhere:

    python examples/settings.py                # in a temporary directory, which is removed
"""

import os
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from enum import Enum

from store.settings import Settings


class Theme(Enum):
    DARK = "dark"
    LIGHT = "light"


@dataclass
class Prefs:
    theme: Theme = Theme.DARK
    font_size: int = 14
    recent: list[str] = field(default_factory=list)


def main(path: str) -> None:
    with Settings(Prefs, path, env_prefix="MYAPP_") as prefs:
        print("to begin with:", prefs.theme, prefs.font_size, prefs.recent)

        prefs.update(theme=Theme.LIGHT, font_size=16)
        with prefs.edit("recent") as recent:
            recent.append("notes.txt")
        print("changed:", prefs.changed())

        try:
            prefs.font_size = "large"
        except TypeError as exc:
            print("refused:", exc)

        os.environ["MYAPP_FONT_SIZE"] = "20"
        print("from the environment:", prefs.font_size, "in the file:", prefs.as_dict()["font_size"])
        del os.environ["MYAPP_FONT_SIZE"]

        told = threading.Event()
        prefs.on_change("font_size", lambda old, new: (print("font size was", old, "and is", new), told.set()))
        subprocess.run([sys.executable, "-m", "store", "settings", "set", path, "font_size", "18"], check=True)
        told.wait(timeout=60)

        prefs.reset("theme", "recent")
        print(prefs.export("json"), end="")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(os.path.join(folder, "settings.db"))
