"""Options that several questions share, as decorators: which fit, which range."""

from __future__ import annotations

import click

from atlas.cli.options import Command
from atlas.sites import POSITIONS, SITES
from queries.rules import RULES


def fit_options(command: Command) -> Command:
    """Adds `--family`, `--site`, `--position` and `--template`: which fit of the Gaussians to read."""
    command = click.option(
        "--template", metavar="TEXT", help="Prompt template of the fit, where the atlas has several."
    )(command)
    command = click.option(
        "--position",
        type=click.Choice(POSITIONS),
        help="Token position of the fit, where the atlas has several.",
    )(command)
    command = click.option(
        "--site", type=click.Choice(list(SITES)), help="Site of the fit, where the atlas has several."
    )(command)
    return click.option(
        "--family", metavar="NAME", help="Family of the concept, where several have a concept of this name."
    )(command)


def range_options(command: Command) -> Command:
    """Adds `--tau` and `--rule`."""
    command = click.option(
        "--rule",
        type=click.Choice(list(RULES)),
        default="auc",
        show_default=True,
        help="By what neurons are ranked: " + "; ".join(f"{rule.name}: {rule.meaning}" for rule in RULES.values()),
    )(command)
    return click.option(
        "--tau", type=float, help="Half-width of the range in standard deviations; one that was measured."
    )(command)
