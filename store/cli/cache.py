"""`cache`: the cache of an application: its figures, and deleting from it by tag, by size, or all."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from store.cache import Cache
from store.cli.output.json_output import to_json
from store.cli.output.tables import Column, print_table
from store.cli.reading import options
from store.cli.reading.groups import Commands
from store.cli.reading.opening import open_as
from store.display.units import size_text
from store.mapping.sharding.layout import with_its_shards
from store.opened.options import Mode

FACTS = (Column("fact", style="cyan"), Column("value"))
SIZES = ("bytes", "log_bytes", "free_bytes")
OF_THE_PROGRAM = ("max_bytes", "max_records", "policy", "eviction_error")  # its own, which the file does not know

namespace_option = click.option(
    "--namespace", metavar="NS", type=options.text, default="cache", show_default=True,
    help="The namespace that holds the cache.",
)  # fmt: skip


@click.group(cls=Commands)
def cache() -> None:
    """Shows the figures of an application's cache, and deletes from it.

    \b
    Examples:
      store cache stats app.db
      store cache evict app.db users
      store cache cull app.db --max-records 1000
      store cache clear app.db
    """


@cache.command()
@options.path
@namespace_option
@options.as_object
@options.exact
@options.color
def stats(path: str, namespace: str, as_object: bool, exact: bool, color: bool | None) -> None:
    """Shows hits, misses, evictions and sizes.

    Hits, misses and evictions are those of all processes. The keys with --json: hits, misses, hit_rate (0.0 to 1.0,
    or null), evictions, records, bytes (what max_bytes bounds), log_bytes and free_bytes. Bounds are the program's
    own, and not in the file.

    \b
    Examples:
      store cache stats app.db
      store cache stats app.db --json
    """
    with _open(path, "r", namespace) as found:
        figures = found.stats()
    facts: dict[str, Any] = {key: value for key, value in asdict(figures).items() if key not in OF_THE_PROGRAM}
    if as_object:
        click.echo(to_json({**facts, "hit_rate": figures.hit_rate}))
        return
    rate = "-" if figures.hit_rate is None else f"{figures.hit_rate:.1%}"
    facts = {key: size_text(value, exact=exact) if key in SIZES else value for key, value in facts.items()}
    rows = ((key.replace("_", " "), str(value)) for key, value in {**facts, "hit rate": rate}.items())
    print_table(FACTS, rows, color=color)


@cache.command()
@options.path
@click.argument("tag", type=options.text)
@namespace_option
def evict(path: str, tag: str, namespace: str) -> None:
    """Deletes the records that have a tag.

    \b
    Examples:
      store cache evict app.db users
    """
    with _open(path, "w", namespace) as found:
        click.echo(f"deleted {found.evict(tag)}")


@cache.command()
@options.path
@click.option("--max-bytes", metavar="N", type=int, help="Evict until live records take at most N bytes.")
@click.option("--max-records", metavar="N", type=int, help="Evict until there are at most N records.")
@click.option(
    "--policy",
    type=click.Choice(["lru", "lfu", "lrw", "fifo"]),
    default="lru",
    show_default=True,
    help="Which records go first.",
)
@namespace_option
def cull(path: str, max_bytes: int | None, max_records: int | None, policy: str, namespace: str) -> None:
    """Deletes what has expired, then evicts down to the bounds that are given.

    \b
    Examples:
      store cache cull app.db
      store cache cull app.db --max-bytes 500000000
      store cache cull app.db --max-records 1000 --policy lfu
    """
    bounds = {"max_bytes": max_bytes, "max_records": max_records, "policy": policy}
    with _open(path, "w", namespace, **bounds) as found:
        click.echo(f"deleted {found.cull()}")


@cache.command()
@options.path
@namespace_option
def clear(path: str, namespace: str) -> None:
    """Deletes all records of the cache; other namespaces of the file stay.

    \b
    Examples:
      store cache clear app.db
    """
    with _open(path, "w", namespace) as found:
        count = len(found)
        found.clear()
    click.echo(f"deleted {count}")


def _open(path: str, mode: Mode, namespace: str, **bounds: Any) -> Cache[Any]:
    """The cache at `path`, without bounds of its own unless some are given."""
    bounds = {"max_bytes": None, **bounds}
    given = {"mode": mode, "namespace": namespace, **bounds}
    return with_its_shards(lambda shards: open_as(Cache, path, shards=shards, **given))
