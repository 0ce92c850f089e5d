"""Options that every command has that runs a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def device_options(command: F) -> F:
    """--device and --dtype."""
    command = click.option(
        "--dtype",
        type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
        default="auto",
        show_default=True,
        help="Computing type; auto is float32 on the CPU, the checkpoint's on a GPU.",
    )(command)
    return click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 ...")(command)
