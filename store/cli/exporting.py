"""`export`: records for other programs, or undecoded for another store."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from store.care.raw import export_raw
from store.cli.output.exits import exit_with_error, usage_error
from store.cli.output.progress import counted
from store.cli.output.terminal import is_terminal, note, on_one_line, shown_name
from store.cli.reading import options
from store.cli.reading.opening import open_store
from store.export import WRITERS, export_lines, export_to
from store.system.syncing import sync_file, sync_folder


@click.command()
@click.argument("words", metavar="KIND SRC [DST]", nargs=-1)
@click.option("--raw", is_flag=True, help="The other form: PATH [FILE], all records as they are stored, undecoded.")
@options.only_namespace
@click.option("--prefix", metavar="P", type=options.text, help="Only names that begin with P.")
def export(words: tuple[str, ...], raw: bool, namespace: str | None, prefix: str | None) -> None:
    """Writes records to files of other kinds.

    KIND is jsonl (JSON lines; DST is stdout by default), shelve (a shelf of the standard library) or pickles (a
    folder with a file for each record). DST must not exist yet; it is written in full or not at all. One namespace
    is exported, by default the unnamed one. Records that cannot be read, or not be written in that form, are left
    out and reported, and then the exit code is 1.

    `store export --raw PATH [FILE]` writes the records of all namespaces undecoded, one JSON object on a line, for
    `store import --raw`, foreign and damaged records included.

    \b
    Examples:
      store export jsonl app.db
      store export jsonl app.db users.jsonl --prefix user:
      store export shelve app.db shelf
      store export pickles app.db pickles
      store export --raw app.db records.jsonl
    """
    if raw:
        if prefix is not None:
            raise usage_error("--raw takes no --prefix: it writes all records")
        path, file = options.words_of(words, ("PATH", "FILE"), default="-")
        _export_undecoded(path, file, namespace)
        return
    if words and words[0] not in WRITERS:
        raise usage_error(
            f"{words[0]!r} is no kind of export: one of {', '.join(WRITERS)}; for records undecoded pass --raw"
        )
    to_stdout = "-" if words[:1] == ("jsonl",) else None
    kind, path, target = options.words_of(words, ("KIND", "SRC", "DST"), default=to_stdout)
    counts: Counter[str] = Counter()
    with open_store(path, mode="r", namespace=namespace or "") as s:
        is_listed = target == to_stdout
        chosen = prefix or ""
        results = (
            export_lines(s, click.echo, prefix=chosen) if is_listed else export_to(s, kind, target, prefix=chosen)
        )
        for result in counted(results, counts, hidden=is_terminal()):  # a bar would mix with lines on stdout
            if result.outcome != "exported":
                note(f"{shown_name(result.name)} is left out ({result.outcome}): {on_one_line(result.why)}")
    left_out = [f"{outcome} {counts[outcome]}" for outcome in ("refused", "failed") if counts[outcome]]
    if not is_listed:
        click.echo(", ".join([f"exported {counts['exported']}", *left_out]))
    exit_with_error(left_out)


def _export_undecoded(path: str, file: str, namespace: str | None) -> None:
    """Writes the records of a store to FILE, or with "-" to stdout."""
    with open_store(path, mode="r") as s, _output(file) as write:
        for line in export_raw(s.opened, namespace):
            write(line)


@contextmanager
def _output(file: str) -> Iterator[Callable[[str], object]]:
    """Writes lines to stdout, or to a new file, which is there in full or not at all."""
    if file == "-":
        yield click.echo
        return
    with open(file, "x", encoding="ascii") as out:  # "x": it could be the store itself
        try:
            yield lambda line: out.write(line + "\n")
            sync_file(out)
        except BaseException:
            os.unlink(file)
            raise
    sync_folder(os.path.dirname(file) or os.curdir)
