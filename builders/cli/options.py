"""Options that several builders share, as decorators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

Command = Callable[..., Any]


def column_options(command: Command) -> Command:
    """--text-column, --concept-column and --split: how a labelled corpus is read."""
    command = click.option("--split", help="Split of an hf: corpus.")(command)
    command = click.option(
        "--concept-column", default="concept", show_default=True, help="Column with the concept's name."
    )(command)
    return click.option("--text-column", default="text", show_default=True, help="Column with the text.")(command)
