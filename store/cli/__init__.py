"""The command line: `store`, also `python -m store`. One file for each group of commands."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click

import store
from store.cli.output.exits import run
from store.cli.reading import completion
from store.cli.reading.groups import Sections
from store.cli.reading.late import Late
from store.system.clock import wall_clock

COMMANDS = {
    "demo": "store.cli.demo:demo",
    "get": "store.cli.records:get",
    "set": "store.cli.records:set_",
    "rm": "store.cli.records:rm",
    "touch": "store.cli.lifetimes:touch",
    "purge": "store.cli.lifetimes:purge",
    "ls": "store.cli.listing:ls",
    "records": "store.cli.listing:records",
    "namespaces": "store.cli.listing:namespaces",
    "info": "store.cli.info:info",
    "stats": "store.cli.info:stats",
    "inspect": "store.cli.trust:inspect",
    "admit": "store.cli.trust:admit",
    "verify": "store.cli.verifying:verify",
    "compact": "store.cli.compacting:compact",
    "recover": "store.cli.recovering:recover",
    "backup": "store.cli.backups:backup",
    "restore": "store.cli.backups:restore",
    "export": "store.cli.exporting:export",
    "import": "store.cli.importing:import_",
    "upgrade": "store.cli.upgrade:upgrade",
    "rekey": "store.cli.rekeying:rekey",
    "key": "store.cli.keys:key",
    "settings": "store.cli.settings:settings",
    "sessions": "store.cli.sessions:sessions",
    "watch": "store.cli.watch:watch",
}


@click.group(
    cls=Sections,
    commands=Late(COMMANDS),
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


completion.install()


def main(args: Sequence[str] | None = None, *, clock: Callable[[], float] = wall_clock) -> int:
    """Runs a command (that of `sys.argv` by default); returns its exit code. `clock` tells the time, for tests."""
    return run(cli, args, clock)
