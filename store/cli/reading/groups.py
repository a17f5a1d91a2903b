"""Groups of commands: loaded when they are called, listed in `store --help` under headings."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from store.cli.output.exits import EXIT_USAGE

Sections = Mapping[str, Mapping[str, str]]


class Commands(click.Group):
    """A group of commands; a call without a command is a wrong call, and shows the group's help on stderr.

    click's own way differs between its versions: help as an error, which here would be one long line, or as success.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Raises: click.exceptions.Exit."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), err=True)
            ctx.exit(EXIT_USAGE)
        return super().parse_args(ctx, args)


class SectionedCommands(Commands):
    """Commands under headings, each imported when it is called: importing all takes longer than most of them run.

    `sections` has the commands under each heading, and for each its file in `store/cli`.
    """

    def __init__(self, *, sections: Sections, **attributes: Any) -> None:
        self.sections = sections
        self.files = {name: file for commands in sections.values() for name, file in commands.items()}
        # click lists names, and suggests them for a mistyped one, out of `commands`; `get_command` has the real ones.
        super().__init__(commands={name: click.Command(name) for name in self.files}, **attributes)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        if cmd_name not in self.files:
            return None
        module = import_module(f"store.cli.{self.files[cmd_name]}")
        command: click.Command = getattr(module, cmd_name, None) or getattr(module, f"{cmd_name}_")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One definition list for each section."""
        widest = max(map(len, self.files))
        for heading, commands in self.sections.items():
            with formatter.section(heading):
                formatter.write_dl([
                    (name.ljust(widest), command.get_short_help_str(formatter.width - widest - 6))
                    for name in commands
                    if (command := self.get_command(ctx, name))
                ])  # fmt: skip
