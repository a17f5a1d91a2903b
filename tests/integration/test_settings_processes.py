"""Settings shared by processes: what one writes the other reads and is told of, and neither loses the other's."""

from __future__ import annotations

import subprocess
import sys
import threading
from textwrap import dedent

import pytest
from preferences import Prefs

from store import settings
from store.settings import Settings

BOUND_SECONDS = 60

SETTER = """
import sys
from preferences import Prefs
from store.settings import Settings
with Settings(Prefs, sys.argv[1]) as prefs:
    print(prefs.theme, flush=True)
    sys.stdin.readline()
    prefs.theme = "light"
    print(prefs.font_size, flush=True)
    sys.stdin.readline()
"""

COUNTER = """
import sys
from preferences import Prefs
from store import settings
with settings.Settings(Prefs, sys.argv[1]) as prefs:
    for n in range(50):
        settings.modify(prefs, "font_size", lambda size: size + 1)
        setattr(prefs, sys.argv[2], str(n))
        with settings.edit(prefs, "recent") as recent:
            recent.append(sys.argv[2] + str(n))
"""


def start(code, *args):
    samples = sys.modules["preferences"].__file__.rpartition("/")[0]
    program = f"import sys; sys.path.insert(0, {samples!r})\n{dedent(code)}"
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program, *map(str, args)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.slow
def test_change_by_another_process_is_told(place):
    told, changes = threading.Event(), []

    def on_change(old, new):
        changes.append((old, new))
        told.set()

    with Settings(Prefs, place, interval=0.01) as prefs:
        prefs.theme = "sepia"
        with start(SETTER, place) as other:
            try:
                assert other.stdout.readline() == "sepia\n"
                settings.on_change(prefs, "theme", on_change)
                prefs.font_size = 33
                other.stdin.write("go\n")
                other.stdin.flush()
                assert told.wait(BOUND_SECONDS)
                assert changes == [("sepia", "light")] and prefs.theme == "light"
                assert other.stdout.readline() == "33\n"
                other.communicate("end\n", timeout=BOUND_SECONDS)
            finally:
                other.kill()
        assert other.returncode == 0


@pytest.mark.slow
def test_processes_that_write_at_once_lose_nothing(place):
    with Settings(Prefs, place) as prefs:
        others = [start(COUNTER, place, name) for name in ("theme", "proxy")]
        try:
            for other in others:
                other.communicate(timeout=BOUND_SECONDS)
        finally:
            for other in others:
                other.kill()
        assert [other.returncode for other in others] == [0, 0]
        assert prefs.font_size == 14 + 100
        assert (prefs.theme, prefs.proxy) == ("49", "49")
        assert sorted(prefs.recent) == sorted(f"{name}{n}" for name in ("theme", "proxy") for n in range(50))
