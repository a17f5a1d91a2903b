"""`compact`: space that nothing needs, given back."""

from __future__ import annotations

from dataclasses import asdict

import click

from store.cli.output.json_output import to_json
from store.cli.output.progress import progress_bar
from store.cli.output.units import size_text
from store.cli.reading.options import bytes_option, json_option, open_store, path_argument


@click.command()
@path_argument
@json_option
@bytes_option
def compact(path: str, as_object: bool, exact: bool) -> None:
    """Gives back space that nothing needs.

    Files of large values that were replaced or deleted, files that a killed write left, free pages of the database,
    and its log. In small steps, so that others read and write meanwhile. What a reader of an older state still needs
    is left for the next time. The keys with --json: files, orphans, file_bytes (of both), database_bytes and
    files_left.

    \b
    Examples:
      store compact app.db
      store compact app.db --json
    """
    with open_store(path, mode="w") as s, progress_bar("compact") as progress:
        freed = s.compact(progress=progress)
    if as_object:
        click.echo(to_json(asdict(freed)))
        return
    click.echo(
        f"files {freed.files}, orphans {freed.orphans}: {size_text(freed.file_bytes, exact=exact)}; "
        f"database {size_text(freed.database_bytes, exact=exact)}"
        + (f"; {freed.files_left} files are left for a reader" if freed.files_left else "")
    )
