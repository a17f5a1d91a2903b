"""The command line: `store`, also `python -m store`. One file for each group of commands."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import click

import store
from store.cli import (
    compacting,
    completion,
    demo,
    exporting,
    importing,
    info,
    keys,
    lifetimes,
    listing,
    records,
    sessions,
    settings,
    trust,
    upgrade,
    watch,
)
from store.cli.exits import run
from store.cli.sections import Sections


@click.group(
    cls=Sections,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=f"\b\n{completion.HOW_TO}",
)
@click.version_option(store.__version__, prog_name="store", message="%(prog)s %(version)s")
def cli() -> None:
    """Python objects on disk under a name, shared by several processes.

    Reading a store never runs somebody else's code. Errors are one line; the exit code is 1 where the world
    refused (no such record, a damaged file), 2 where the call was wrong.

    \b
    Examples:
      store demo
      store set app.db settings '{"theme": "dark"}'
      store get app.db settings
    """


_COMMANDS = (
    demo.demo, records.get, records.set_, records.rm, lifetimes.touch, lifetimes.purge,
    listing.ls, listing.records, listing.namespaces, info.info, info.stats,
    trust.inspect, trust.admit, trust.verify, compacting.compact, exporting.export, importing.import_,
    upgrade.upgrade, keys.key, settings.settings, sessions.sessions, watch.watch,
)  # fmt: skip
for command in _COMMANDS:
    cli.add_command(command)
completion.install()


def main(args: Sequence[str] | None = None, *, clock: Callable[[], float] = time.time) -> int:
    """Runs a command (that of `sys.argv` by default); returns its exit code. `clock` tells the time, for tests."""
    return run(cli, args, clock)
