"""`neuron-atlas completion`: the script that makes a shell complete our commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

PROGRAM = "neuron-atlas"


@click.command(epilog="Example: neuron-atlas completion bash >> ~/.bashrc")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script for SHELL; load it from the start-up file of the shell."""
    variable = f"_{PROGRAM.replace('-', '_').upper()}_COMPLETE"
    script = get_completion_class(shell)
    assert script is not None
    click.echo(script(click.Command(PROGRAM), {}, PROGRAM, variable).source())
