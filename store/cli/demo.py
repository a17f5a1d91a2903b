"""`demo`: a short session with a store, shown line by line. What is shown is what is run."""

from __future__ import annotations

import ast
import inspect
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import click


@dataclass
class User:
    name: str
    email: str


IMPORTS = """\
import os, time
from dataclasses import dataclass
from store import Store
"""
SCRIPT = '''\
# Objects, each under a name. A class of your own needs nothing special.

s = Store(path)
s["user:1"] = User("Alice", "alice@example.org")
s["numbers"] = {"pi": 3.14159, "primes": (2, 3, 5, 7)}
s["user:1"]
s["user:1"].email
list(s), len(s), "user:2" in s

# Settings. What you read is a copy: `edit` reads, lets you change it, and writes it back, as one step.

s["settings"] = {"theme": "dark", "font_size": 14}
with s.edit("settings") as settings:
    settings["theme"] = "light"

s["settings"]
s.record("settings").revision

# Sessions, which end by themselves: a lifetime is in seconds.

session = s.put("session:4f2a", {"user": "user:1", "cart": ["book"]}, ttl=1800)
session.expires - session.modified
short = s.put("session:9c31", {"user": "user:2"}, ttl=0.01)
time.sleep(0.02)
s.names("session:")

# Several processes. This is one of them; another changes what this one has open.

s["visits"] = 1
program = """
import os, sys
from store import Store
with Store(sys.argv[1]) as s:
    with s.edit("settings") as settings:
        settings["font_size"] = 16
    s.modify("visits", lambda visits: visits + 1)
    print("process", os.getpid(), "sees", len(s), "records")
"""
run_as_another_process(program, path)
os.getpid(), s["settings"], s["visits"]

# All or nothing: an error undoes the whole block.

try:
    with s.transaction():
        del s["user:1"]
        raise RuntimeError("the power is out")
except RuntimeError:
    pass

"user:1" in s
s.close()
'''


@click.command()
@click.argument("place", metavar="[DIR_OR_PATH]", required=False)
def demo(place: str | None) -> None:
    """Shows a store at work, line by line.

    Objects, settings, a session, a second process: it takes about a second. The store is made in a temporary
    directory and removed; or at DIR_OR_PATH, where there may be none yet, and kept.

    \b
    Examples:
      store demo
      store demo demo.db
    """
    with _path(place) as path:
        _play(SCRIPT, path)
        if place is not None:
            click.echo(f"\n# The store is kept. Look into it: store ls {path} --long")


@contextmanager
def _path(place: str | None) -> Iterator[str]:
    """The path of the demo's store: in a temporary directory, or the one given."""
    if place is None:
        with tempfile.TemporaryDirectory(prefix="demo-") as folder:
            yield os.path.join(folder, "demo.db")
        return
    path = os.path.abspath(place)
    if os.path.isdir(path):
        path = os.path.join(path, "demo.db")
    if os.path.lexists(path):
        raise click.ClickException(f"{path} exists already, and the demo does not write into it; name a new file")
    yield path


def _play(script: str, path: str) -> None:
    """Shows each statement as the interpreter would, runs it, and shows its value."""
    names: dict[str, Any] = {"User": User, "run_as_another_process": run_as_another_process}
    try:
        _play_statements(IMPORTS, names)
        _show(inspect.getsource(User).splitlines())
        _play_statements(f"path = {path!r}\n{script}", names)
    finally:
        if "s" in names:
            names["s"].close()


def _play_statements(script: str, names: dict[str, Any]) -> None:
    lines = script.splitlines()
    done = 0
    for statement in ast.parse(script).body:
        end = statement.end_lineno or done
        for remark in lines[done : statement.lineno - 1]:
            click.echo(remark)
        _show(lines[statement.lineno - 1 : end])
        done = end
        if isinstance(statement, ast.Expr):
            value = eval(compile(ast.Expression(statement.value), "<demo>", "eval"), names)
            if value is not None:
                click.echo(repr(value))
        else:
            exec(compile(ast.Module([statement], []), "<demo>", "exec"), names)


def _show(lines: list[str]) -> None:
    prompts = [">>>", *["..."] * len(lines)]
    click.echo("\n".join(f"{prompt} {line}".rstrip() for prompt, line in zip(prompts, lines, strict=False)))


def run_as_another_process(program: str, path: str) -> None:
    """Runs a program in another Python process and shows what it prints."""
    # The other process imports from the current directory only if this one does.
    safe = [] if os.getcwd() in sys.path else ["-P"]
    command = [sys.executable, *safe, "-c", program, path]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise click.ClickException(f"the other process failed: {done.stderr.strip().rpartition(chr(10))[2]}")
    click.echo(done.stdout.rstrip())
