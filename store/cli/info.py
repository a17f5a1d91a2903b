"""`info`: what is known of a store, or of one record, without decoding anything."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from store import Store
from store.cli.listing import as_json, to_json
from store.cli.options import missing, namespace_option, open_store, path_argument, text
from store.cli.terminal import shown, shown_name


@click.command()
@path_argument
@click.argument("name", type=text, required=False)
@namespace_option
@click.option("--json", "as_object", is_flag=True, help="As a JSON object.")
def info(path: str, name: str | None, namespace: str, as_object: bool) -> None:
    """Shows what is known of a store or a record.

    Without NAME, the figures of the store and of one of its namespaces. No value is decoded.

    \b
    Examples:
      store info app.db
      store info app.db settings
      store info app.db settings --json
    """
    with open_store(path, mode="r", namespace=namespace) as s:
        facts = _of_store(s) if name is None else _of_record(s, name, path)
    if as_object:
        click.echo(to_json(facts))
        return
    width = max(map(len, facts))
    for field, value in facts.items():
        click.echo(f"{field.replace('_', ' '):<{width}}  {_text(field, value)}")


def _of_store(s: Store[Any]) -> dict[str, Any]:
    return {"path": s.location, "namespace": s.namespace, **asdict(s.stats()), "namespaces": s.namespaces()}


def _of_record(s: Store[Any], name: str, path: str) -> dict[str, Any]:
    try:
        return as_json(s.record(name))
    except KeyError:
        raise missing(name, path, s.namespace) from None


def _text(field: str, value: Any) -> str:
    if value is None:
        return "never" if field == "expires" else "-"
    if isinstance(value, dict):
        return ", ".join(f"{shown(str(key))}: {count}" for key, count in value.items()) or "-"
    if isinstance(value, list):
        return ", ".join(shown_name(item) for item in value) or "-"
    return shown_name(str(value))
