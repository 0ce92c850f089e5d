"""Calling one command without the group it belongs to.

click makes the option of help when a command first runs, with the names that the group of that moment gives it, and
keeps it. A test that calls a command alone must give the same names, or whatever asks for `-h` later in that process
is told that there is none. tests/architecture/test_commands.py sees to it that tests call commands from here alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
from click.testing import CliRunner, Result

from atlas.__main__ import COMMANDS, PROGRAM
from atlas.cli.group import LazyGroup

AS_IN_THE_GROUP: dict[str, Any] = {
    "help_option_names": LazyGroup(PROGRAM, COMMANDS).context_settings["help_option_names"]
}


def invoke(command: click.Command, arguments: Sequence[str], **more: Any) -> Result:
    """What click's runner says of the command; `more` are the runner's own options."""
    return CliRunner().invoke(command, arguments, **AS_IN_THE_GROUP, **more)


def context_of(command: click.Command, name: str, arguments: Sequence[str]) -> click.Context:
    """The command's context with these arguments parsed."""
    return command.make_context(name, list(arguments), **AS_IN_THE_GROUP)
