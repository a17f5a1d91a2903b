"""The plugin's configuration: `plugins: sealed-store: key_file`, of one database or of all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from datasette.utils import StartupError

from store.errors import StoreError
from store.trust.keys.ring import Keyring

PLUGIN = "sealed-store"
WHERE = f"Datasette's configuration plugins → {PLUGIN}"
HINT = "key_file: the path of a key file"


class Misconfigured(StartupError, click.ClickException):
    """The configuration is wrong. Datasette 1.0 tells the first of these in a line; 0.65 leaves that to click."""


def key_file_of(datasette: Any, database: str | None) -> Path | None:
    """The key file of a database; None: the program's own keys. Raises: Misconfigured: the configuration is wrong.

    Datasette shows its configuration to visitors, so that it names a file and never holds a key.
    """
    found = None if database is None else datasette.plugin_config(PLUGIN, database=database, fallback=False)
    if found is None:  # 1.0a41 does not fall back to the top by itself where the database has other configuration
        found = datasette.plugin_config(PLUGIN)
    if found is None:
        return None
    if not isinstance(found, Mapping):
        raise Misconfigured(f"{WHERE} is a mapping with one setting, {HINT}, and not of type {type(found).__name__}")
    for name in set(found) - {"key_file"}:  # its value is not cited, since it may be a key
        raise Misconfigured(f"{WHERE} has no setting {name!r:.80}; the only one is {HINT}")
    file = found.get("key_file")
    if file is not None and (not isinstance(file, str) or not file):
        raise Misconfigured(f"{WHERE} takes {HINT}, and not {file!r:.80}")
    return None if file is None else Path(file).expanduser()


async def check_configuration(datasette: Any) -> None:
    """Reads every key file that is named. Raises: Misconfigured: one cannot be read."""
    for database in (None, *datasette.databases):
        file = key_file_of(datasette, database)
        if file is None:
            continue
        try:
            Keyring(file).keys()
        except (OSError, ValueError, StoreError) as exc:
            whose = "" if database is None else f" of the database {database!r}"
            raise Misconfigured(f"{WHERE}: the keys{whose} cannot be read: {exc}") from exc
