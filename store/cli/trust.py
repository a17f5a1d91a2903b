"""`inspect`, `admit`: records of others looked at and taken over; none is decoded for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import click

from store import Store
from store.care.inspect import Inspection, foreign_records
from store.cli.completion import complete_names, complete_namespaces
from store.cli.exits import EXIT_ERROR
from store.cli.options import missing, name_argument, namespace_option, open_store, path_argument, text
from store.cli.terminal import confirm, shown, shown_name
from store.errors import CodecUnavailable, RecordError, label

MAX_SHOWN = 50  # classes and functions in one question: nobody reads more, and the last ones matter as well

Answer = Callable[[tuple[str, ...]], bool]


@click.command()
@path_argument
@name_argument
@namespace_option
def inspect(path: str, name: str, namespace: str) -> None:
    """Shows what is in a record, with nothing of it run.

    Whose it is, which classes and functions decoding it in full would name, and its bytes as text.

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
@path_argument
@click.argument("names", metavar="[NAME...]", type=text, nargs=-1, shell_complete=complete_names)
@click.option("--all", "everything", is_flag=True, help="All records sealed by a key that is not here; asks first.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--namespace",
    metavar="NS",
    type=text,
    shell_complete=complete_namespaces,
    help="The namespace; the unnamed one by default, with --all every one.",
)
def admit(path: str, names: tuple[str, ...], everything: bool, yes: bool, namespace: str | None) -> None:
    """Makes records of others yours.

    Seals their bytes, as they are, with your key. From then on they are decoded in full, so look first:
    `store inspect`. With --all, each distinct set of classes and functions that the records name is shown once,
    and admitted if you say so; what cannot be read to its end is left out.

    \b
    Examples:
      store admit app.db settings
      store admit app.db user:1 greeting
      store admit app.db --all
    """
    if bool(names) == everything:
        raise click.UsageError("name the records to admit, or pass --all", click.get_current_context())
    with open_store(path, mode="w", namespace=namespace or "") as s:
        if everything:
            failed = _admit_all(s, namespace, None if yes else _ask)
        else:
            failed = _admit(s, [_inspected(s, name, path) for name in dict.fromkeys(names)])
    if failed:
        click.get_current_context().exit(EXIT_ERROR)


def _inspected(s: Store[Any], name: str, path: str) -> Inspection:
    try:
        return s.inspect(name)
    except KeyError:
        raise missing(name, path, s.namespace) from None


def _admit_all(s: Store[Any], namespace: str | None, ask: Answer | None) -> bool:
    """Whether some could not be admitted."""
    left_out: list[str] = []
    failed = _admit(s, _chosen(foreign_records(s.opened, namespace), ask, left_out.append))
    for problem in left_out:
        _tell(problem)
    return failed or bool(left_out)


def _chosen(
    found: Iterable[Inspection], ask: Answer | None, leave_out: Callable[[str], None]
) -> Iterator[Inspection]:
    """Those to admit; each set of globals is asked for when it is met first, where there is somebody to ask."""
    answers: dict[tuple[str, ...], bool] = {}
    for seen in found:
        which = label(seen.record.name, seen.record.namespace)
        wanted = tuple(sorted(seen.globals))
        if seen.problem:
            leave_out(f"{which} is left out, what it names is not known in full: {seen.problem}")
        elif ask is None:
            yield seen
        elif len(wanted) > MAX_SHOWN:
            leave_out(f"{which} is left out, it names {len(wanted)} classes and functions: admit it by its name")
        else:
            if wanted not in answers:
                answers[wanted] = ask(wanted)
            if answers[wanted]:
                yield seen


def _admit(s: Store[Any], inspections: Iterable[Inspection]) -> bool:
    """Whether some could not be admitted."""
    failed = False
    for seen in inspections:
        try:
            s.admit(seen)
        except (RecordError, CodecUnavailable) as exc:
            _tell(str(exc))
            failed = True
            continue
        where = f" ({shown_name(seen.record.namespace)})" if seen.record.namespace else ""
        click.echo(f"admitted  {shown_name(seen.record.name)}{where}: {_listed(seen.globals)}")
    return failed


def _ask(found: tuple[str, ...]) -> bool:
    """Whether records that name these may be admitted. Raises: click.ClickException: nobody is there to say."""
    return confirm(f"Records that name {_listed(found)}: admit them?", "--yes admits without asking")


def _listed(found: tuple[str, ...]) -> str:
    return ", ".join(map(shown_name, found)) or "no classes and functions, only plain data"


def _tell(problem: str) -> None:
    click.echo(f"store: {shown(' '.join(problem.split()))}", err=True)
