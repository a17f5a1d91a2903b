"""`export --raw`, `import --raw`: records out of a store and into another as they are, undecoded."""

from __future__ import annotations

import io
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

import click

from store.care.raw import export_raw, import_raw
from store.cli.exits import EXIT_ERROR
from store.cli.options import open_store
from store.cli.terminal import shown_name
from store.system.syncing import sync_file, sync_folder


def export_undecoded(path: str, file: str, namespace: str | None) -> None:
    """Writes the records of a store to FILE, or with "-" to stdout."""
    with open_store(path, mode="r") as s, output(file) as write:
        for line in export_raw(s.opened, namespace):
            write(line)


def import_undecoded(file: str, path: str) -> None:
    """Reads them back from FILE, or with "-" from stdin; the exit code is 1 if one is altered or damaged."""
    counts: Counter[str] = Counter()
    with _input(file) as lines, open_store(path, mode="c") as s:
        for namespace, name, verdict in import_raw(s.opened, lines):
            counts[verdict] += 1
            if verdict in ("tampered", "corrupt"):
                where = f" ({shown_name(namespace)})" if namespace else ""
                click.echo(f"store: {shown_name(name)}{where} is {verdict}, and stays so", err=True)
    click.echo(f"imported {counts.total()}" + "".join(f", {verdict} {counts[verdict]}" for verdict in sorted(counts)))
    if counts["tampered"] or counts["corrupt"]:
        click.get_current_context().exit(EXIT_ERROR)


def words_of(words: tuple[str, ...], wanted: tuple[str, ...], default: str | None = None) -> list[str]:
    """The arguments of a form of a command; `default` stands for the last one.

    Raises:
        click.UsageError: there are too few or too many.
    """
    given = [*words, default] if default is not None and len(words) == len(wanted) - 1 else list(words)
    context = click.get_current_context()
    if len(given) < len(wanted):
        raise click.UsageError(f"Missing argument '{wanted[len(given)]}'", context)
    if len(given) > len(wanted):
        raise click.UsageError(f"Got unexpected extra argument ({' '.join(map(str, given[len(wanted) :]))})", context)
    return [str(word) for word in given]


@contextmanager
def output(file: str) -> Iterator[Callable[[str], object]]:
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


@contextmanager
def _input(file: str) -> Iterator[IO[bytes]]:
    if file == "-":
        yield io.BytesIO() if sys.stdin is None else sys.stdin.buffer
        return
    with open(file, "rb") as lines:
        yield lines
