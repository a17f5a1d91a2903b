"""The command line: `store`, also `python -m store`. One file for each group of commands; see README.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click

import store
from store.cli.output.exits import run
from store.cli.reading import completion
from store.cli.reading.groups import SectionedCommands
from store.system.clock import wall_clock

# The headings of `store --help`, with the commands under each and where they are.
SECTIONS = {
    "Records": {
        "get": "store.cli.records:get",
        "set": "store.cli.records:set_",
        "rm": "store.cli.records:rm",
        "touch": "store.cli.records:touch",
        "ls": "store.cli.listing:ls",
        "records": "store.cli.listing:records",
        "info": "store.cli.info:info",
        "watch": "store.cli.watch:watch",
    },
    "The store": {
        "namespaces": "store.cli.listing:namespaces",
        "stats": "store.cli.info:stats",
        "purge": "store.cli.maintenance:purge",
        "verify": "store.cli.maintenance:verify",
        "compact": "store.cli.maintenance:compact",
        "backup": "store.cli.backups:backup",
        "restore": "store.cli.backups:restore",
        "recover": "store.cli.backups:recover",
        "upgrade": "store.cli.maintenance:upgrade",
    },
    "In and out": {
        "import": "store.cli.importing:import_",
        "export": "store.cli.exporting:export",
    },
    "Trust": {
        "inspect": "store.cli.trust:inspect",
        "admit": "store.cli.trust:admit",
        "key": "store.cli.keys:key",
        "rekey": "store.cli.keys:rekey",
    },
    "Uses": {
        "settings": "store.cli.settings:settings",
        "sessions": "store.cli.sessions:sessions",
    },
    "To begin with": {
        "demo": "store.cli.demo:demo",
    },
}


@click.group(
    cls=SectionedCommands,
    sections=SECTIONS,
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
