"""`neuron-atlas layer`: the tokens that most neurons of a layer have in their lists."""

from __future__ import annotations

from pathlib import Path

import click

from atlas.cli.emit import emit
from atlas.cli.options import atlas_option, limit_option, output_options, timeout_option
from atlas.sites import WEIGHTS
from atlas.store.reader import open_atlas
from queries.layers import layer_tokens

SIGNS = {"raised": 1, "lowered": -1}


@click.command(epilog="Example: neuron-atlas layer 29 --weight down_proj")
@click.argument("number", type=int, metavar="LAYER")
@click.option("--weight", type=click.Choice(list(WEIGHTS)), help="Only this weight. Default: all.")
@click.option(
    "--sign", type=click.Choice(list(SIGNS)), default="raised", show_default=True, help="Raised or lowered tokens."
)
@limit_option(20)
@atlas_option
@timeout_option
@output_options
def layer(
    number: int,
    weight: str | None,
    sign: str,
    limit: int,
    atlas_path: Path,
    timeout: float | None,
    output_format: str,
    output: Path | None,
) -> None:
    """The tokens that stand in most token lists of a LAYER, counted from 0, most first.

    A neuron reads the tokens that it responds to (up_proj, gate_proj) and writes those that it makes likelier
    (down_proj): --weight tells the two apart.

    places is the number of lists that hold the token (each neuron has one list a weight), share the part of all
    lists counted.
    """
    with open_atlas(atlas_path, timeout) as atlas:
        result = layer_tokens(atlas, number, weight=weight, sign=SIGNS[sign], limit=limit)
    emit(result, output_format, output)
