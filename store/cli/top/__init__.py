"""The command `top`: one frame, or frame after frame until a key ends it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import click

from store import Store
from store.cli.output.exits import usage_error
from store.cli.output.json_output import to_json
from store.cli.output.sigterm import ended_by_sigterm
from store.cli.output.terminal import is_terminal
from store.cli.reading import options
from store.cli.reading.opening import open_store
from store.cli.top.facts import as_object as object_of
from store.cli.top.keyboard import END, keys
from store.cli.top.sample import Sample, Sampler

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

HINT = "q ends"
MOST_SECONDS = 86_400.0


@click.command()
@options.path
@options.any_namespace
@click.option(
    "--interval", metavar="SECONDS", type=options.seconds, default="1", show_default=True, help="Between two frames."
)
@click.option("--once", is_flag=True, help="One frame, of what happens in one interval.")
@options.as_object
@options.color
def top(path: str, namespace: str | None, interval: float, once: bool, as_object: bool, color: bool | None) -> None:
    """Shows what programs do with a store.

    Shows reads, reads that a cache answered, writes and waits for locks in each second, over the last three; over
    less than one these are not known. Then the records, the space they take, the largest, the newest and those that
    expire next. Ends with q or Ctrl-C. Off a terminal it shows one frame. No value is decoded. Of a large store it
    reads the metadata of up to 100,000 records, the newest of each namespace, and not in every frame.

    For a file it makes app.db.activity beside it, to which each program adds once a second; it may be deleted. A
    program that only reads is counted if it may write that file. PostgreSQL and Redis count by themselves, Redis all
    that its server does. The keys with --json, of one frame: path, time, activity (totals), per_second, data_bytes,
    wal_bytes, wal_pinned_bytes, wal_pinned_by, records, bytes, namespaces and codecs (each with records and bytes),
    expiries, largest, newest, soonest, damaged, complete. A figure that the engine does not know is null.

    \b
    Examples:
      store top app.db --once
      store top app.db --namespace settings --json
    """
    if interval > MOST_SECONDS:
        raise usage_error(f"--interval is at most a day, not {interval:g} seconds")
    if not as_object:
        _drawing()  # what is missing is said before the store is opened
    with open_store(path, mode="r") as s:
        if as_object:
            click.echo(to_json(object_of(s.location, _after(s, namespace, interval))))
        elif once or not is_terminal() or os.environ.get("TERM") == "dumb":
            _print(s, namespace, interval, color)
        else:
            _live(s, namespace, interval, color)


def _after(s: Store[Any], namespace: str | None, interval: float) -> Sample:
    """A sample at the end of one interval."""
    sampler = Sampler(s.opened, namespace)
    time.sleep(interval)
    return sampler.sample()


def _print(s: Store[Any], namespace: str | None, interval: float, color: bool | None) -> None:
    frame = _drawing()
    console: Console = frame.console(color)
    console.print(frame.frame(s.location, _after(s, namespace, interval), console.width, None))


def _live(s: Store[Any], namespace: str | None, interval: float, color: bool | None) -> None:
    frame = _drawing()
    from rich.live import Live

    console: Console = frame.console(color)
    sampler = Sampler(s.opened, namespace)

    def now() -> RenderableType:
        drawn: RenderableType = frame.frame(s.location, sampler.sample(), console.width, console.height, HINT)
        return drawn

    with ended_by_sigterm(), keys() as wait, Live(now(), console=console, screen=True, auto_refresh=False) as live:
        while wait(interval) not in (END, END.upper()):
            live.update(now(), refresh=True)


def _drawing() -> Any:
    """The module that draws. Raises: click.ClickException: its library is not installed."""
    try:
        from store.cli.top import frame
    except ModuleNotFoundError as exc:
        if (exc.name or "").partition(".")[0] != "rich":
            raise
        raise click.ClickException(
            "`store top` needs rich, which is not installed: pip install '.[cli]'; with --json it does without"
        ) from exc
    return frame
