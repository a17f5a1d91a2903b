"""`watch`: the changes of a store as they come, from any process; no value is ever decoded."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from store.cli.output.json_output import as_json, to_json
from store.cli.output.terminal import shown_name
from store.cli.reading import options
from store.cli.reading.opening import open_store


@click.command()
@options.path
@click.argument("names", metavar="[NAME...]", type=options.text, nargs=-1)
@options.prefix
@options.namespace()
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=options.waiting_seconds,
    help="End after so many seconds without a change; also 30m, 2h, 7d.",
)
@click.option("--json", "as_object", is_flag=True, help="Each change as a JSON object, with the record's metadata.")
def watch(
    path: str, names: tuple[str, ...], prefix: str, namespace: str, timeout: float | None, as_object: bool
) -> None:
    """Shows changes as they come.

    Prints one change on a line, from any program: the time (UTC) when it was noticed, "set", "deleted" or "expired",
    and the name. The store is polled 20 times a second; of several writes in between, the last one is shown. Ends
    with Ctrl-C, or after --timeout.

    \b
    Examples:
      store watch app.db --timeout 0.1
      store watch app.db settings greeting --timeout 0.1
      store watch app.db --prefix user: --json --timeout 0.1
    """
    if names and prefix:
        raise click.UsageError("give names or --prefix, not both")
    with open_store(path, mode="r", namespace=namespace) as s:
        for change in s.watch(names or None, prefix, timeout):
            now = datetime.now(UTC)
            if as_object:
                record = None if change.record is None else as_json(change.record)
                line = to_json({
                    "time": now.isoformat(), "kind": change.kind, "name": change.name,
                    "namespace": change.namespace, "record": record,
                })  # fmt: skip
            else:
                line = f"{now:%Y-%m-%d %H:%M:%SZ}  {change.kind:<7}  {shown_name(change.name)}"
            click.echo(line)  # which flushes
