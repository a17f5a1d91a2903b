"""Groups of commands: called with none, and in `store --help` the commands by what they are for."""

from __future__ import annotations

import click

from store.cli.output.exits import EXIT_USAGE

SECTIONS = {
    "Records": ("get", "set", "rm", "touch", "ls", "records", "info", "watch"),
    "The store": ("namespaces", "stats", "purge", "verify", "compact", "backup", "restore", "recover", "upgrade"),
    "In and out": ("import", "export"),
    "Trust": ("inspect", "admit", "key", "rekey"),
    "Uses": ("settings", "sessions"),
    "To begin with": ("demo",),
}
REST = "More"  # those that no section names


class Commands(click.Group):
    """A group of commands; called without one it is called wrongly, and shows its help on stderr.

    click's own way differs between its versions: help as an error, which here would be one long line, or as success.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Raises: click.exceptions.Exit."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), err=True)
            ctx.exit(EXIT_USAGE)
        return super().parse_args(ctx, args)


class Sections(Commands):
    """A group of commands whose help lists them under headings."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One definition list for each section that has commands."""
        named = {name for names in SECTIONS.values() for name in names}
        rest = tuple(name for name in self.list_commands(ctx) if name not in named)
        widest = max((len(name) for name in self.commands), default=0)
        for heading, names in {**SECTIONS, REST: rest}.items():
            rows = [
                (name.ljust(widest), self._summary(ctx, name, formatter, widest))
                for name in names
                if name in self.commands
            ]
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)

    def _summary(self, ctx: click.Context, name: str, formatter: click.HelpFormatter, widest: int) -> str:
        command = self.get_command(ctx, name)
        return "" if command is None else command.get_short_help_str(formatter.width - widest - 6)
