"""`upgrade`: old records in today's form."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable

import click

from store import Store
from store.care.upgrade import BATCH, Upgraded
from store.care.upgrade import upgrade as upgraded
from store.cli.exits import EXIT_ERROR
from store.cli.options import open_store, path_argument, text
from store.cli.progress import is_watched
from store.cli.terminal import on_one_line, shown, shown_name

OUTCOMES = ("upgraded", "current", "left", "failed")


@click.command()
@path_argument
@click.option("--codec", metavar="CODEC", type=text, help="The codec to have; by default what each record has.")
@click.option("--protocol", metavar="N", type=int, help="The codec's protocol; its default, if that is higher.")
@click.option(
    "--rename",
    "renames",
    metavar="OLD=NEW",
    type=text,
    multiple=True,
    help="A class or module that moved; repeatable.",
)
@click.option("--namespace", metavar="NS", type=text, help="Only the records of this namespace.")
@click.option("--dry-run", is_flag=True, help="Write nothing; show what would be done.")
@click.option("--batch", metavar="N", type=click.IntRange(min=1), default=BATCH, help=f"As one step; {BATCH}.")
def upgrade(
    path: str,
    codec: str | None,
    protocol: int | None,
    renames: tuple[str, ...],
    namespace: str | None,
    dry_run: bool,
    batch: int,
) -> None:
    """Re-encodes old records in today's form.

    Protocol, codec, names of classes that moved, and the versions of classes (store.versioned). The classes are
    imported: run it where your program's modules can be (PYTHONPATH=.). In batches, each all or nothing: stop it
    when you like and run it again. What your key did not seal is left as it is; exit code 1 if a record failed.

    \b
    Examples:
      store upgrade app.db --dry-run
      store upgrade app.db --protocol 5
      store upgrade app.db --rename old.module.User=new.module.User
      store upgrade app.db --codec json --namespace web
    """
    with open_store(path, mode="w", renames=_pairs(renames)) as s:
        try:
            results = upgraded(
                s.opened, codec=codec, protocol=protocol, namespace=namespace, dry_run=dry_run, batch=batch
            )
            counts = _tell(s, results, namespace, dry_run)
        except (TypeError, ValueError) as exc:
            if type(exc) not in (TypeError, ValueError):
                raise
            raise click.UsageError(str(exc), click.get_current_context()) from exc
    verb = "to be upgraded" if dry_run else "upgraded"
    click.echo(", ".join(f"{verb if outcome == 'upgraded' else outcome} {counts[outcome]}" for outcome in OUTCOMES))
    if counts["failed"]:
        click.get_current_context().exit(EXIT_ERROR)


def _tell(s: Store[object], results: Iterable[Upgraded], namespace: str | None, dry_run: bool) -> Counter[str]:
    """How many there were of each outcome; those that people should know of are told one by one."""
    counts: Counter[str] = Counter()
    with click.progressbar(results, length=_records(s, namespace), file=sys.stderr, hidden=not is_watched()) as bar:
        for result in bar:
            counts[result.outcome] += 1
            where = shown_name(result.name) + (f" ({shown_name(result.namespace)})" if result.namespace else "")
            if result.outcome == "left":
                click.echo(f"store: {where} is left as it is: {on_one_line(result.why)}", err=True)
            elif result.outcome == "failed":
                click.echo(f"store: {on_one_line(result.why)}", err=True)  # which names the record
            elif result.outcome == "upgraded" and dry_run:
                click.echo(f"{where}: {shown(result.why)}")
    return counts


def _records(s: Store[object], namespace: str | None) -> int:
    total = 0
    for each in s.namespaces() if namespace is None else [namespace]:
        with s.within(each) as inner:
            total += len(inner)
    return total


def _pairs(renames: tuple[str, ...]) -> dict[str, str]:
    pairs = [rename.partition("=") for rename in renames]
    for old, separator, new in pairs:
        if not (old and separator and new):
            raise click.UsageError("--rename takes OLD=NEW, such as old.module.User=new.module.User")
    return {old: new for old, _, new in pairs}
