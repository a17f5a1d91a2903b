"""`datasette serve` in a process of its own, as a user starts it; but its pages have as much time as they need."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

URL = re.compile(r"Uvicorn running on (http://127\.0\.0\.1:\d+)")
COMMAND = "import unhurried; unhurried.begin(); from datasette.cli import cli; cli()"


@contextmanager
def datasette(*arguments: str | Path, key: bytes) -> Iterator[str]:
    """The address of Datasette, without a slash at its end. It must end soon when it is asked to, without a traceback."""
    command = [sys.executable, "-c", COMMAND, "serve", *map(str, arguments), "--port", "0"]
    samples = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "STORE_KEY": key.decode(), "PYTHONPATH": samples, "PYTHONUNBUFFERED": "1"}
    lines: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:  # fmt: skip
        assert process.stderr is not None
        try:
            for line in process.stderr:
                lines.append(line)
                if found := URL.search(line):
                    break
            else:
                raise AssertionError(f"it did not start: {''.join(lines)}")
            rest = threading.Thread(target=lines.extend, args=(process.stderr,))
            rest.start()
            yield found[1]
        finally:
            process.terminate()
            process.wait(30)
        rest.join()
    assert "Traceback" not in "".join(lines), "".join(lines)
