"""The command line: `store`, also `python -m store`. One file for each group of commands; see README.md."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Sequence

import click

import store
from store.cli.output.exits import run
from store.cli.reading.groups import SectionedCommands
from store.system.clock import wall_clock
from store.system.late import late

# The headings of `store --help`: the commands under each, and the file of this folder that each one is in.
SECTIONS = {
    "Records": {
        "get": "records", "set": "records", "rm": "records", "touch": "records",
        "ls": "listing", "records": "listing", "info": "info", "watch": "watch",
        "web": "web",
    },
    "The store": {
        "namespaces": "listing", "stats": "info", "top": "top", "purge": "maintenance", "verify": "maintenance",
        "compact": "maintenance", "backup": "backups", "restore": "backups", "recover": "backups",
        "copy": "backups", "destroy": "backups", "upgrade": "maintenance",
        "reshard": "sharding",
    },
    "In and out": {"import": "importing", "export": "exporting"},
    "Trust": {"inspect": "trust", "admit": "trust", "key": "keys", "rekey": "keys"},
    "Uses": {"settings": "settings", "sessions": "sessions", "cache": "cache"},
    "To begin with": {"demo": "demo"},
}  # fmt: skip
COMPLETING = "_STORE_COMPLETE"  # the shell sets this variable when it wants to complete a word
HOW_TO_COMPLETE = f"""\
Tab completion of commands, names and namespaces, in bash (zsh alike; fish: fish_source):
  eval "$({COMPLETING}=bash_source store)"
"""


@click.group(
    cls=SectionedCommands,
    sections=SECTIONS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=f"\b\n{HOW_TO_COMPLETE}",
)
@click.version_option(store.__version__, prog_name="store", message="%(prog)s %(version)s")
def cli() -> None:
    """Python objects on disk under a name, shared by several processes.

    PATH is the file of a store, or the URL of one on a server: postgresql://user@host/database or redis://host.

    Reading a store never runs somebody else's code. Errors are one line; the exit code is 1 for a failure (no such
    record, a damaged file) and 2 for a wrong call.

    \b
    Examples:
      store demo
      store set app.db settings '{"theme": "dark"}'
      store get app.db settings
    """


if COMPLETING in os.environ:
    late("store.cli.reading.completion:install", "completion")()


def main(args: Sequence[str] | None = None, *, clock: Callable[[], float] = wall_clock) -> int:
    """Runs a command; returns its exit code. `clock` tells the time, for tests.

    Without `args` it is the program `store`: the command is that of `sys.argv`, and the process is expected to end.
    """
    code = run(cli, args, clock)
    if args is None:
        # The interpreter looks for garbage in all modules when it ends, a sixth of the time of `store get`. The
        # command has closed and flushed everything; what is registered with `atexit` runs as always.
        gc.freeze()
    return code
