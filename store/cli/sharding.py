"""`reshard`: the number of shards of a namespace, changed."""

from __future__ import annotations

from typing import get_args

import click

from store.cli.output.exits import reported_as
from store.cli.reading import options
from store.cli.reading.opening import open_store
from store.mapping.sharding.resharding import reshard as resharded
from store.mapping.sharding.routes import MOST, Kind


@click.command()
@options.path
@click.argument("namespace", type=options.text)
@click.argument("shards", type=click.IntRange(1, MOST))
@click.option("--kind", type=click.Choice(get_args(Kind)), help="What keeps its records there.")
def reshard(path: str, namespace: str, shards: int, kind: Kind | None) -> None:
    """Moves a namespace to another number of shards.

    NAMESPACE is that of sessions, a cache, or results of functions; 1 is without shards. End the programs that use
    it first, and start them with the new number after. Killed at any moment it has lost nothing: run it again.
    Without --kind it is as the store has recorded, or as the namespace is called.

    \b
    Examples:
      store reshard app.db sessions 4
      store reshard app.db results 1 --kind memo
    """
    with open_store(path, mode="w") as s, reported_as(click.UsageError):
        done = resharded(s, namespace, shards, kind=kind)
    click.echo(f"moved {done.records}")
