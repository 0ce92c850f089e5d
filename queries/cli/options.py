"""Options that several questions share, as decorators: what to read, which range, which part of the answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click

from atlas.cli.options import Command, atlas_option, bundled, timeout_option
from atlas.store.reader import Atlas, open_atlas
from queries.ranges import KINDS
from queries.rules import RULES

SIGNS = {"both": 0, "raised": 1, "lowered": -1}


class Source(NamedTuple):
    """The atlas that a command reads, and the seconds that one of its statements may take (see `open_atlas`)."""

    path: Path
    timeout_s: float | None

    def open(self) -> Atlas:
        """Open the atlas, for a `with` around several questions."""
        return open_atlas(self.path, self.timeout_s)

    def ask(self, question: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """The answer to one question of the opened atlas."""
        with self.open() as atlas:
            return question(atlas, *arguments, **options)


def source_options(command: Command) -> Command:
    """Adds `--atlas` and `--timeout`, passed as one `source`."""
    return atlas_option(timeout_option(bundled("source", _source, ("atlas_path", "timeout"))(command)))


def _source(atlas_path: Path, timeout: float | None) -> Source:
    return Source(atlas_path, timeout)


def range_options(command: Command) -> Command:
    """Adds `--range`, `--tau` and `--rule`, passed as one `ranges`: what questions take under these names."""
    command = bundled("ranges", dict, ("range", "tau", "rule"))(command)
    command = click.option(
        "--rule",
        type=click.Choice(list(RULES)),
        help="By what neurons are ranked: "
        + "; ".join(f"{rule.name}: {rule.meaning}" for rule in RULES.values())
        + ". Default: "
        + ", ".join(f"{kind.rule} with --range {kind.name}" for kind in KINDS.values())
        + ".",
    )(command)
    command = tau_option(command)
    return click.option(
        "--range",
        type=click.Choice(list(KINDS)),
        help="Which range of each neuron is shown, ranked and filtered by: "
        + "; ".join(f"{kind.name}: {kind.meaning}" for kind in KINDS.values())
        + ". Default: interval, where the atlas has intervals of the concept.",
    )(command)


def tau_option(command: Command) -> Command:
    """Adds `--tau` for ranges that were measured."""
    return click.option(
        "--tau",
        type=float,
        help="Half-width of the ranges in standard deviations; one that was measured. Default: 2.5, else the only one.",
    )(command)


def distinctive_option(help: str) -> Callable[[Command], Command]:
    """Adds `--distinctive`: tokens that are common in all lists count little."""
    return click.option("--distinctive", is_flag=True, help=help)


def sign_option(help: str, both: bool = True) -> Callable[[Command], Command]:
    """Adds `--sign`, passed as a number: 1 raised, -1 lowered, 0 (the default where there is `both`) both."""
    names = [name for name in SIGNS if both or name != "both"]
    return click.option(
        "--sign",
        type=click.Choice(names),
        default=names[0],
        show_default=True,
        callback=lambda context, parameter, name: SIGNS[name],
        help=help,
    )
