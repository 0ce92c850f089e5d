"""A command group that knows its commands by name and imports one only when it is called."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import click

from atlas.errors import EXIT_INTERRUPT, EXIT_OK, UnknownNameError, UsageError
from atlas.interrupt import raise_on_interrupt


class LazyGroup(click.Group):
    """`commands` maps a name to ("module:object", one-line help); the help page needs no import."""

    def __init__(self, name: str, table: dict[str, tuple[str, str]]) -> None:
        super().__init__(
            name,
            help="Look up what the neurons of a language model mean.\n\n"
            "Data goes to stdout, everything else to stderr.",
            epilog="Example: neuron-atlas token dog",
            context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        )
        self.table = table
        self.params.append(
            click.Option(
                ["--version"],
                is_flag=True,
                is_eager=True,
                expose_value=False,
                callback=_print_version,
                help="Print the version and leave.",
            )
        )

    def list_commands(self, context: click.Context) -> list[str]:
        """Names in the order of the table."""
        return list(self.table)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Import the command, or None for a name that is not in the table."""
        if name not in self.table:
            return None
        module, _, attribute = self.table[name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        if module.startswith("builders."):
            raise_on_interrupt()  # what a builder has begun can be resumed
        return command

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """As click does, but no name, path or text holds a NUL, which the operating system takes for its end."""
        if any("\0" in argument for argument in args):
            raise UsageError("an argument holds NUL", "Leave it out.")
        return super().parse_args(context, args)

    def resolve_command(self, context: click.Context, arguments: list[str]) -> Any:
        """As click does, but an unknown name suggests near ones."""
        name = arguments[0] if arguments else ""
        if name not in self.table and not name.startswith("-"):
            raise UsageError(f"unknown command {name!r}", UnknownNameError("command", name, self.table).hint)
        return super().resolve_command(context, arguments)

    def invoke(self, context: click.Context) -> Any:
        """Run the command; a reader of our stdout that leaves early (`| head`) is no error."""
        try:
            answer = super().invoke(context)
            sys.stdout.flush()
            return answer
        except BrokenPipeError:
            # What is still buffered would fail again at exit: let it go nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return EXIT_OK
        except KeyboardInterrupt:  # of which click would make an empty line
            return EXIT_INTERRUPT

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.table.items()])


def _print_version(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        from atlas.manifest import software_version

        click.echo(software_version())
        context.exit()
