"""`neuron-atlas nearest`: the neurons that point the same way as one."""

from __future__ import annotations

from pathlib import Path

import click

from atlas.cli.emit import emit
from atlas.cli.options import atlas_option, limit_option, output_options, timeout_option
from atlas.sites import WEIGHTS
from atlas.store.reader import open_atlas
from queries import nearest as question


@click.command(epilog="Example: neuron-atlas nearest L29N808 --weight gate_proj")
@click.argument("address", metavar="ADDRESS")
@click.option(
    "--weight",
    type=click.Choice(list(WEIGHTS)),
    default=question.DEFAULT_WEIGHT,
    show_default=True,
    help="Which of the neurons' vectors to compare.",
)
@limit_option(20)
@atlas_option
@timeout_option
@output_options
def nearest(
    address: str,
    weight: str,
    limit: int,
    atlas_path: Path,
    timeout: float | None,
    output_format: str,
    output: Path | None,
) -> None:
    """The neurons whose weight vector has the largest cosine to that of the neuron at ADDRESS.

    tokens are those that the neighbour's vector raises most. The atlas must hold the vectors: build --vectors.
    """
    with open_atlas(atlas_path, timeout) as atlas:
        result = question.nearest(atlas, address, weight=weight, limit=limit)
    emit(result, output_format, output)
