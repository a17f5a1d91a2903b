"""`inspect`, `admit`: look at records sealed by other people, and take them over; none is decoded for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import click

from store import Store
from store.care.inspect import Inspection, foreign_records
from store.cli.output.exits import exit_with_error, usage_error
from store.cli.output.terminal import confirm, note, on_one_line, shown, shown_name, shown_place
from store.cli.reading import options
from store.cli.reading.opening import existing, open_store
from store.errors import CodecUnavailable, RecordError, label

MAX_SHOWN = 50  # classes and functions in one question: nobody would read more


@click.command()
@options.path
@options.name
@options.namespace()
def inspect(path: str, name: str, namespace: str) -> None:
    """Shows the content of a record, and runs none of it.

    Shows who sealed it, the classes and functions that decoding it in full would load, and its bytes as text.

    \b
    Examples:
      store inspect app.db settings
    """
    with open_store(path, mode="r", namespace=namespace) as s:
        seen = _inspected(s, name, path)
    kind = seen.record.type or "?"
    click.echo(f"record   {shown_name(seen.record.name)}")
    click.echo(f"verdict  {seen.verdict}")
    click.echo(f"sealed   {'without a key' if seen.record.sealed_by is None else 'by ' + seen.record.sealed_by}")
    click.echo(f"type     {shown(str(kind))}")
    click.echo(f"codec    {shown(str(seen.record.codec))} {seen.record.protocol}, {seen.record.size} bytes")
    click.echo(f"globals  {_listed(seen.globals)}")
    if seen.problem:
        click.echo(f"problem  {shown(seen.problem)}")
    click.echo("\n" + shown(seen.disassembly, keep="\n").rstrip("\n"))


@click.command()
@options.path
@options.some_names
@click.option("--all", "everything", is_flag=True, help="All records sealed by a key that is not here; asks first.")
@options.yes
@options.namespace("The namespace; the unnamed one by default, with --all every one.", None)
def admit(path: str, names: tuple[str, ...], everything: bool, yes: bool, namespace: str | None) -> None:
    """Seals records of other users with your key.

    Their bytes stay as they are. From then on they are decoded in full, so look first: `store inspect`. With --all,
    each distinct set of classes and functions that the records name is shown once, and admitted if you agree;
    records that cannot be read to their end are left out.

    \b
    Examples:
      store admit app.db settings
      store admit app.db user:1 greeting
      store admit app.db --all
    """
    if bool(names) == everything:
        raise usage_error("name the records to admit, or pass --all")
    left_out: list[str] = []
    with open_store(path, mode="w", namespace=namespace or "") as s:
        if everything:
            chosen = _chosen(foreign_records(s.opened, namespace), not yes, left_out)
        else:
            chosen = iter([_inspected(s, name, path) for name in dict.fromkeys(names)])
        refused = [seen for seen in chosen if not _admitted(s, seen)]
    for problem in left_out:
        note(on_one_line(problem))
    exit_with_error(refused or left_out)


def _inspected(s: Store[Any], name: str, path: str) -> Inspection:
    with existing(path, s.namespace, name):
        return s.inspect(name)


def _chosen(found: Iterable[Inspection], asks: bool, left_out: list[str]) -> Iterator[Inspection]:
    """The records to admit, after asking once for each set of globals if wanted; `left_out` gets the others' reasons.

    Raises: click.ClickException: there is no answer on stdin.
    """
    answers: dict[tuple[str, ...], bool] = {}
    for seen in found:
        which = label(seen.record.name, seen.record.namespace)
        wanted = tuple(sorted(seen.globals))
        if seen.problem:
            left_out.append(f"{which} is left out, what it names is not known in full: {seen.problem}")
        elif asks and len(wanted) > MAX_SHOWN:
            left_out.append(
                f"{which} is left out, it names {len(wanted)} classes and functions: admit it by its name"
            )
        else:
            if asks and wanted not in answers:
                question = f"Records that name {_listed(wanted)}: admit them?"
                answers[wanted] = confirm(question, "--yes admits without asking")
            if answers.get(wanted, True):
                yield seen


def _admitted(s: Store[Any], seen: Inspection) -> bool:
    """Admits a record; whether that worked."""
    try:
        s.admit(seen)
    except (RecordError, CodecUnavailable) as exc:
        note(on_one_line(str(exc)))
        return False
    click.echo(f"admitted  {shown_place(seen.record.namespace, seen.record.name)}: {_listed(seen.globals)}")
    return True


def _listed(found: tuple[str, ...]) -> str:
    return ", ".join(map(shown_name, found)) or "no classes and functions, only plain data"
