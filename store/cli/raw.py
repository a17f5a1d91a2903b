"""`export`, `import`: records out of a store and into another as they are, undecoded."""

from __future__ import annotations

import io
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

import click

from store.cli.exits import EXIT_ERROR
from store.cli.options import open_store, path_argument, text
from store.cli.terminal import shown_name
from store.raw import export_raw, import_raw

_raw_option = click.option("--raw", is_flag=True, help="As they are stored, undecoded: the only form so far.")


@click.command()
@_raw_option
@path_argument
@click.argument("file", metavar="[FILE]", default="-")
@click.option("--namespace", metavar="NS", type=text, help="Only the records of this namespace.")
def export(raw: bool, path: str, file: str, namespace: str | None) -> None:
    """Writes all records to a file, undecoded.

    One JSON object on a line, for `store import --raw`. FILE must not exist yet; it is stdout by default. Records
    that are foreign or damaged are written as well: nothing is lost.

    \b
    Examples:
      store export --raw app.db
      store export --raw app.db records.jsonl
    """
    _require_raw(raw)
    with open_store(path, mode="r") as s, _output(file) as write:
        for line in export_raw(s, namespace):
            write(line)


@click.command("import")
@_raw_option
@click.argument("file", metavar="FILE")
@path_argument
def import_(raw: bool, file: str, path: str) -> None:
    """Reads records that were exported, undecoded.

    Makes the store where there is none. What your key sealed is sealed anew for this store; foreign records stay
    foreign, altered and damaged ones too, and then the exit code is 1. Records of the same name are replaced. FILE
    `-` is stdin.

    \b
    Examples:
      store import --raw records.jsonl copy.db
    """
    _require_raw(raw)
    counts: Counter[str] = Counter()
    with _input(file) as lines, open_store(path, mode="c") as s:
        for namespace, name, verdict in import_raw(s, lines):
            counts[verdict] += 1
            if verdict in ("tampered", "corrupt"):
                where = f" ({shown_name(namespace)})" if namespace else ""
                click.echo(f"store: {shown_name(name)}{where} is {verdict}, and stays so", err=True)
    click.echo(f"imported {counts.total()}" + "".join(f", {verdict} {counts[verdict]}" for verdict in sorted(counts)))
    if counts["tampered"] or counts["corrupt"]:
        click.get_current_context().exit(EXIT_ERROR)


def _require_raw(raw: bool) -> None:
    if not raw:
        raise click.UsageError("pass --raw: there is no other form yet", click.get_current_context())


@contextmanager
def _output(file: str) -> Iterator[Callable[[str], object]]:
    """Writes lines to stdout, or to a new file, which is there in full or not at all."""
    if file == "-":
        yield click.echo
        return
    with open(file, "x", encoding="ascii") as out:  # "x": it could be the store itself
        try:
            yield lambda line: out.write(line + "\n")
            out.flush()
        except BaseException:
            os.unlink(file)
            raise


@contextmanager
def _input(file: str) -> Iterator[IO[bytes]]:
    if file == "-":
        yield io.BytesIO() if sys.stdin is None else sys.stdin.buffer
        return
    with open(file, "rb") as lines:
        yield lines
