"""Runs commands of the shell on a terminal, each in a process of its own that is forked from this one.

Reads one request a line, the arguments as a JSON array, and answers each with a line: `{"code", "shown"}`. `code` is
the exit code, or "signal N", or "too long"; `shown` what the terminal got, stderr included.
"""

from __future__ import annotations

import gc
import json
import os
import pty
import resource
import select
import signal
import sys
import time
import traceback

import click

from store.cli import cli, main

CPU_SECONDS = 5
WALL_SECONDS = 100
MEGABYTES = 512


def serve() -> None:
    """Answers requests until there are no more."""
    for name in cli.commands:  # imported once, and not in each child
        cli.get_command(click.Context(cli), name)
    gc.collect()
    gc.freeze()  # else each child would go through all of it, and so copy it
    for line in sys.stdin:
        print(json.dumps(_on_a_terminal(json.loads(line))), flush=True)


def _on_a_terminal(arguments: list[str]) -> dict[str, object]:
    child, terminal = pty.fork()
    if child == 0:
        _run(arguments)
    shown, is_late = _read(terminal)
    if is_late:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    return {"code": "too long" if is_late else _code(status), "shown": shown.decode("utf-8", "surrogateescape")}


def _run(arguments: list[str]) -> None:
    code = 99
    try:
        _limit()
        code = main(arguments)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _limit() -> None:
    with open("/proc/self/statm") as file:
        mapped = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MEGABYTES * 1024 * 1024,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _read(terminal: int) -> tuple[bytes, bool]:
    """What comes until the other end is closed, and whether it never was. Questions are answered with "n"."""
    shown = b""
    answered = 0
    deadline = time.monotonic() + WALL_SECONDS
    while select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))[0]:
        try:
            piece = os.read(terminal, 65_536)
        except OSError:  # Linux: nobody has the other end open any more
            return shown, False
        if not piece:
            return shown, False
        shown += piece
        while answered < shown.count(b"[y/N]"):
            os.write(terminal, b"n\n")
            answered += 1
    return shown, True


def _code(status: int) -> object:
    return f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


if __name__ == "__main__":
    serve()
