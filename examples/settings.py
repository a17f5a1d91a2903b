"""Settings of a program: typed, with defaults, shared by processes, exported as text, and watched for changes.

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

from store import settings


class Theme(Enum):
    DARK = "dark"
    LIGHT = "light"


@dataclass
class Prefs:
    theme: Theme = Theme.DARK
    font_size: int = 14
    recent: list[str] = field(default_factory=list)


def main(path: str) -> None:
    with settings.Settings(Prefs, path, env_prefix="MYAPP_") as prefs:
        print("to begin with:", prefs.theme, prefs.font_size, prefs.recent)

        settings.update(prefs, theme=Theme.LIGHT, font_size=16)
        with settings.edit(prefs, "recent") as recent:
            recent.append("notes.txt")
        print("changed:", settings.changed(prefs))

        try:
            prefs.font_size = "large"
        except TypeError as exc:
            print("refused:", exc)

        os.environ["MYAPP_FONT_SIZE"] = "20"
        print("from the environment:", prefs.font_size, "in the file:", settings.as_dict(prefs)["font_size"])
        del os.environ["MYAPP_FONT_SIZE"]

        told = threading.Event()

        def on_change(old: int, new: int) -> None:
            print("font size was", old, "and is", new)
            told.set()

        settings.on_change(prefs, "font_size", on_change)
        subprocess.run([sys.executable, "-m", "store", "settings", "set", path, "font_size", "18"], check=True)
        told.wait(timeout=60)

        settings.reset(prefs, "theme", "recent")
        print(settings.export(prefs, "json"), end="")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(os.path.join(folder, "settings.db"))
