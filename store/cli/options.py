"""What the commands share: the arguments PATH and --namespace, and how a store is opened."""

from __future__ import annotations

import os
from typing import Any

import click

from store import Store
from store.errors import StoreError, StoreNotFound, label


def text(argument: str) -> str:
    """The type of names and values: UTF-8 whatever the locale, whose unknown bytes come here as surrogates."""
    try:
        return os.fsencode(argument).decode()
    except UnicodeError:
        raise click.BadParameter("it is not text in UTF-8") from None


path_argument = click.argument("path")
namespace_option = click.option(
    "--namespace", metavar="NS", type=text, default="", help="The namespace; the unnamed one by default."
)


def open_store(path: str, *, mode: str, **options: Any) -> Store[Any]:
    """The store at `path`; only mode "c" makes one.

    Raises:
        click.UsageError: an option, or a key in the environment, can never be right. StoreError.
    """
    if path == ":memory:":
        raise click.UsageError("a store in memory ends with the command; give the path of a file")
    try:
        return Store(path, mode=mode, **options)
    except StoreNotFound as exc:
        if mode == "c":  # it is the directory that is missing, and the message says so
            raise
        raise click.ClickException(f"there is no store at {exc.path}; `store set` makes one") from exc
    except StoreError:
        raise
    except (TypeError, ValueError) as exc:
        raise click.UsageError(str(exc)) from exc


def missing(name: str, path: str, namespace: str) -> click.ClickException:
    """The error for a name that is not there."""
    return click.ClickException(f"{path} has no {label(name, namespace)}; `store ls` shows the names it has")
