"""What the commands share: their arguments and options, and how a store is opened."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

import click

from store import Store
from store.cli.completion import complete_names, complete_namespaces, complete_path
from store.errors import StoreError, StoreNotFound, label
from store.opened.options import Mode
from store.system.clock import wall_clock


def text(argument: str) -> str:
    """The type of names and values: UTF-8 whatever the locale, whose unknown bytes come here as surrogates."""
    try:
        return os.fsencode(argument).decode()
    except UnicodeError:
        raise click.BadParameter("it is not text in UTF-8") from None


def seconds(argument: str) -> float:
    """The type of lifetimes: a number of seconds above 0, or of another unit (90, 0.5, 30m, 2h, 7d, 1w)."""
    return _time(argument, "above 0", lambda amount: amount > 0)


def waiting_seconds(argument: str) -> float:
    """The type of times to wait: the same, or 0."""
    return _time(argument, "from 0 up", lambda amount: amount >= 0)


def _time(argument: str, takes: str, fits: Callable[[float], bool]) -> float:
    """The one place where the command line reads a number that may be infinite, or none (nan)."""
    unit = _UNIT_SECONDS.get(argument[-1:], 0)
    try:
        amount = float(argument[:-1]) * unit if unit else float(argument)
    except ValueError:
        raise click.BadParameter(f"{argument!r} is no time: a number of seconds, or such as 30m, 2h, 7d") from None
    if not fits(amount) or amount == math.inf:
        raise click.BadParameter(
            f"{argument!r} is no finite time {takes}: a number of seconds, or such as 30m, 2h, 7d"
        )
    return amount


_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
path_argument = click.argument("path", shell_complete=complete_path)
name_argument = click.argument("name", type=text, shell_complete=complete_names)
names_argument = click.argument(
    "names", metavar="NAME...", type=text, nargs=-1, required=True, shell_complete=complete_names
)
namespace_option = click.option(
    "--namespace",
    metavar="NS",
    type=text,
    default="",
    shell_complete=complete_namespaces,
    help="The namespace; the unnamed one by default.",
)
any_namespace_option = click.option(
    "--namespace",
    metavar="NS",
    type=text,
    shell_complete=complete_namespaces,
    help="Only this namespace; every one by default.",
)
json_option = click.option("--json", "as_object", is_flag=True, help="As a JSON object.")
bytes_option = click.option("--bytes", "exact", is_flag=True, help="Sizes in bytes, without units.")
color_option = click.option(
    "--color/--no-color", default=None, help="Colours always, or never; by default on a terminal, with rich."
)
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


def clock() -> Callable[[], float]:
    """What tells the time to this command, in Unix seconds: what `main` was given."""
    context = click.get_current_context(silent=True)
    given = None if context is None else context.obj
    return given if callable(given) else wall_clock


def open_store(path: str, *, mode: Mode, **options: Any) -> Store[Any]:
    """The store at `path`; only mode "c" makes one.

    Raises:
        click.UsageError: an option, or a key in the environment, can never be right. StoreError.
    """
    if path == ":memory:":
        raise click.UsageError("a store in memory ends with the command; give the path of a file")
    try:
        return Store(path, mode=mode, **{"clock": clock(), **options})
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
