"""`store web` in a process of its own, as a user starts it; but its pages have as much time as they need."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.request import urlopen

import shown_stores

URL = re.compile(r"http://\S+?/?(?=\s|$)")
COMMAND = "import sys, unhurried; unhurried.begin(); from store.cli import main; sys.exit(main())"


class Served(NamedTuple):
    """`url` is the first page's, without a slash at its end."""

    url: str
    path: Path
    log: Path
    """What the process has written to stderr."""


def warm_up(url: str) -> None:
    """Asks for the listing until there was time for each value: the first page also imports the libraries of their types."""
    for _ in range(20):
        with urlopen(f"{url}/namespace?namespace=", timeout=60) as answer:
            if b"has used up its time" not in answer.read():
                return
    raise AssertionError("the listing never has time for each value")


@contextmanager
def served(path: Path, *options: str, key: bytes = shown_stores.OWN) -> Iterator[Served]:
    """The pages of a store. What the process says when it ends must be no traceback."""
    log = path.with_name("web.log")
    samples = str(Path(shown_stores.__file__).parent)
    home = str(path.parent)
    environment = {**os.environ, "STORE_KEY": key.decode(), "PYTHONPATH": samples, "HOME": home, "TMPDIR": home}
    command = [sys.executable, "-c", COMMAND, "web", str(path), "--port", "0", *options]
    with log.open("w") as errors, subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            found = URL.search(line)
            assert found, f"it printed no address: {line!r} {log.read_text()}"
            yield Served(found[0].rstrip("/"), path, log)
        finally:
            process.terminate()
            process.wait(30)
    assert "Traceback" not in log.read_text(), log.read_text()
