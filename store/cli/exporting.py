"""`export`: records for other programs, or undecoded for another store."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable

import click

from store.cli.output.exits import EXIT_ERROR
from store.cli.output.terminal import on_one_line, shown_name
from store.cli.raw import export_undecoded, words_of
from store.cli.reading.options import open_store, text
from store.export import WRITERS, Exported, export_lines, export_to


@click.command()
@click.argument("words", metavar="KIND SRC [DST]", nargs=-1)
@click.option("--raw", is_flag=True, help="The other form: PATH [FILE], all records as they are stored, undecoded.")
@click.option("--namespace", metavar="NS", type=text, help="Only the records of this namespace.")
@click.option("--prefix", metavar="P", type=text, help="Only names that begin with P.")
def export(words: tuple[str, ...], raw: bool, namespace: str | None, prefix: str | None) -> None:
    """Writes records to files of another kind.

    KIND is jsonl (JSON lines; DST is stdout by default), shelve (a shelf of the standard library) or pickles (a
    folder with a file for each record). DST must not exist yet; it is there in full or not at all. Of one namespace,
    the unnamed one by default. What cannot be read, or not be written in that form, is left out and told, and then
    the exit code is 1.

    `store export --raw PATH [FILE]` writes the records of all namespaces undecoded, one JSON object on a line, for
    `store import --raw`; foreign and damaged ones too: nothing is lost.

    \b
    Examples:
      store export jsonl app.db
      store export jsonl app.db users.jsonl --prefix user:
      store export shelve app.db shelf
      store export pickles app.db pickles
      store export --raw app.db records.jsonl
    """
    context = click.get_current_context()
    if raw:
        if prefix is not None:
            raise click.UsageError("--raw takes no --prefix: it writes all records", context)
        path, file = words_of(words, ("PATH", "FILE"), default="-")
        export_undecoded(path, file, namespace)
        return
    if words and words[0] not in WRITERS:
        raise click.UsageError(
            f"{words[0]!r} is no kind of export: one of {', '.join(WRITERS)}; for records undecoded pass --raw",
            context,
        )
    to_stdout = "-" if words[:1] == ("jsonl",) else None
    kind, path, target = words_of(words, ("KIND", "SRC", "DST"), default=to_stdout)
    with open_store(path, mode="r", namespace=namespace or "") as s:
        if target == "-" and to_stdout:
            counts = _told(export_lines(s, click.echo, prefix=prefix or ""))
        else:
            counts = _told(export_to(s, kind, target, prefix=prefix or ""))
            left_out = [f"{outcome} {counts[outcome]}" for outcome in ("refused", "failed") if counts[outcome]]
            click.echo(", ".join([f"exported {counts['exported']}", *left_out]))
    if counts["refused"] or counts["failed"]:
        context.exit(EXIT_ERROR)


def _told(results: Iterable[Exported]) -> Counter[str]:
    """How many there were of each outcome; those that were left out are told one by one."""
    counts: Counter[str] = Counter()
    hidden = sys.stderr is None or not sys.stderr.isatty() or sys.stdout.isatty()
    with click.progressbar(results, length=None, file=sys.stderr, hidden=hidden, show_pos=True) as bar:
        for result in bar:
            counts[result.outcome] += 1
            if result.outcome != "exported":
                name, why = shown_name(result.name), on_one_line(result.why)
                click.echo(f"store: {name} is left out ({result.outcome}): {why}", err=True)
    return counts
