"""The type of `--settings module:Class`: a class of a program, whose fields say what a form takes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import click

from store.classes.shown import shown


def settings_class(argument: str) -> type:
    """The class at `module:Class`, which `store.settings` can keep. Raises: click.BadParameter."""
    module, colon, name = argument.partition(":")
    names = [*module.split("."), *name.split(".")]
    if not colon or not all(map(str.isidentifier, names)):
        raise click.BadParameter(f"{shown(argument)} is no class: give it as module:Class, such as app.prefs:Prefs")
    found = _imported(module, argument)
    for part in name.split("."):
        found = getattr(found, part, None)
    _check(found, argument)
    chosen: type = found
    return chosen


def _imported(module: str, argument: str) -> Any:
    try:
        with _folder_of_the_user():
            return import_module(module)
    except Exception as exc:  # the module is a program, and may fail in any way
        raise click.BadParameter(
            f"{shown(argument)}: importing {module} failed ({type(exc).__name__}: {exc}); call the command where "
            f"`python -c 'import {module}'` works"
        ) from exc


def _check(found: object, argument: str) -> None:
    from store.settings.classes import schema_of

    if not isinstance(found, type):
        raise click.BadParameter(f"{shown(argument)}: there is no such class in that module")
    try:
        schema_of(found)
    except (TypeError, ValueError) as exc:
        raise click.BadParameter(f"{shown(argument)} is no class of settings: {exc}") from exc


@contextmanager
def _folder_of_the_user() -> Iterator[None]:
    """Inside, modules of the current folder can be imported too, after all others.

    Not for longer: a file there could have the name of a library that is not installed and is looked for later.
    """
    folder = os.getcwd()
    sys.path.append(folder)
    try:
        yield
    finally:
        if folder in sys.path:
            last = len(sys.path) - 1 - sys.path[::-1].index(folder)
            del sys.path[last]
