"""SRC of `store import`, and the options that only some kinds of sources have."""

from __future__ import annotations

import os
from typing import Any

import click

from store.care.foreign import Foreign
from store.cli.output.exits import reported_as, usage_error
from store.importers.contract import Keys
from store.importers.kinds import SIGNED, TABLES, check_server, check_source, server_importers
from store.importers.redis_place import scheme_of


def secret_keys_in(file: str) -> list[bytes]:
    """The type of --secret-key-file: the lines of a file."""
    try:
        with open(file, "rb") as lines:
            keys = [line for line in lines.read().splitlines() if line]
    except OSError as exc:
        raise click.BadParameter(f"{file} cannot be read: {exc.strerror or exc}") from None
    if not keys:
        raise click.BadParameter(f"{file} has no key: write SECRET_KEY on its first line")
    return keys


def check_options(
    kind: str, source: str, namespace: str | None, tables: bool, compat: bool, how: dict[str, Any]
) -> None:
    """Checks options before a store is made for a source that cannot be read. Raises: click.UsageError."""
    with reported_as(usage_error):
        Foreign(how["trust"], how["allow"])
    _check_of_kind(kind, namespace, tables, compat, how)
    is_url = scheme_of(source) is not None
    of_files = how["table"] is not None or how["secret_keys"] or how["session_age"] is not None
    if is_url and of_files:
        raise usage_error("--table, --secret-key-file and --session-age go with files, not with sessions on a server")
    for name in ("key_prefix", "key_version"):
        if how[name] is not None and not (is_url and kind in server_importers):
            kinds = " and ".join(server_importers.names())
            raise usage_error(f"--{name.replace('_', '-')} goes with {kinds} on a server: redis://…")


def _check_of_kind(kind: str, namespace: str | None, tables: bool, compat: bool, how: dict[str, Any]) -> None:
    if how["table"] is not None and kind not in TABLES:
        raise usage_error(f"--table goes with {', '.join(TABLES)} alone")
    for option, given in (("--tables", tables), ("--encoded", how["encoded"])):
        if given and kind != "sqlitedict":
            raise usage_error(f"{option} goes with sqlitedict alone")
    if compat and (kind != "diskcache" or namespace or how["prefix"]):
        raise usage_error("--compat goes with diskcache alone, and without --namespace and --prefix")
    if tables and (namespace or how["table"] is not None):
        raise usage_error("--tables copies each table into a namespace of its own; leave out --table and --namespace")
    if (how["secret_keys"] or how["session_age"] is not None) and kind not in SIGNED:
        raise usage_error("--secret-key-file and --session-age go with django-sessions alone")


def check_place(kind: str, source: str, keys: Keys) -> str:
    """The path or URL of a source of that kind, which is there.

    Raises:
        click.UsageError: it can never be one. NotAStore, StorageError, CodecUnavailable: as `store.importers.kinds`.
    """
    if scheme_of(source) is None:
        path = os.path.abspath(source)
        check_source(kind, path)
        return path
    with reported_as(usage_error):
        check_server(kind, source, keys)
    return source
