"""Options that every command has that runs a model."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

import click

from atlas.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])


@contextlib.contextmanager
def _without_cache() -> Iterator[None]:
    name = "NEURON_ATLAS_CACHE_GB"  # atlas.live.gguf_copies reads it
    before = os.environ.get(name)
    os.environ[name] = "0"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _take_no_cache(context: click.Context, parameter: click.Parameter, given: bool) -> None:
    if given:
        context.with_resource(_without_cache())


def cache_option(command: F) -> F:
    """--no-cache, for the time of the command."""
    return click.option(
        "--no-cache",
        is_flag=True,
        expose_value=False,
        callback=_take_no_cache,
        help="Parse a .gguf file anew and keep no copy of it, as with NEURON_ATLAS_CACHE_GB=0.",
    )(command)


def device_options(command: F) -> F:
    """--device, --dtype, --device-map and --no-cache; a device map is passed on as a `device`."""

    @functools.wraps(command)
    def call(**values: Any) -> Any:
        device_map = values.pop("device_map")
        if device_map is not None:
            if values["device"] != "auto":
                raise UsageError("--device and --device-map contradict each other")
            values["device"] = f"map:{device_map}"  # as atlas.live.loading takes it
        return command(**values)

    added = cache_option(cast("F", call))
    added = click.option(
        "--device-map",
        metavar="MAP",
        help="Spread a model that no device holds: auto, or how much of it each device may hold, as in "
        "cuda:0=20GB,cpu=60GB; what fits nowhere is read from its files in every pass. Needs the extra device-map.",
    )(added)
    added = click.option(
        "--dtype",
        type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
        default="auto",
        show_default=True,
        help="Computing type; auto is float32 on the CPU, the checkpoint's on a GPU.",
    )(added)
    return click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 ...")(added)


def model_option(command: F, *, named_by: str = "the spec names") -> F:
    """--model, for commands whose spec names one, or what `named_by` says."""
    return click.option(
        "--model",
        metavar="MODEL",
        help=f"Packaged name, folder, .gguf file or Hugging Face id. Default: the one that {named_by}.",
    )(command)


def override_option(command: F) -> F:
    """--override-model."""
    return click.option("--override-model", is_flag=True, help="Accept other weights of the same dims.")(command)


def batch_options(memory: str, what: str) -> Callable[[F], F]:
    """--max-tokens, --batch-tokens and --memory (of this default, for `what`), for commands that read many texts."""

    def add(command: F) -> F:
        command = click.option("--memory", default=memory, show_default=True, help=what)(command)
        command = click.option(
            "--batch-tokens", type=int, default=2048, show_default=True, help="Padded tokens per forward pass."
        )(command)
        return click.option(
            "--max-tokens", type=int, default=512, show_default=True, help="Longer texts are cut to this."
        )(command)

    return add
