"""`neuron-atlas layer`: the tokens that most neurons of a layer have in their lists."""

from __future__ import annotations

import click

from atlas.cli.emit import Output
from atlas.cli.options import answer_options, limit_option
from atlas.sites import WEIGHTS
from queries.cli.options import Source, distinctive_option, sign_option, source_options
from queries.layers import layer_tokens


@click.command(epilog="Example: neuron-atlas layer 29 --weight down_proj")
@click.argument("number", type=int, metavar="LAYER")
@click.option("--weight", type=click.Choice(list(WEIGHTS)), help="Only this weight. Default: all.")
@sign_option("Raised or lowered tokens.", both=False)
@distinctive_option("Order by how much more of these lists hold a token than of all lists: common ones come last.")
@limit_option(20)
@source_options
@answer_options()
def layer(
    number: int, weight: str | None, sign: int, distinctive: bool, limit: int, source: Source, out: Output
) -> None:
    """The tokens that stand in most token lists of a LAYER, counted from 0, most first.

    A neuron reads the tokens that it responds to (up_proj, gate_proj) and writes those that it makes likelier
    (down_proj): --weight tells the two apart.

    places is the number of lists that hold the token (each neuron has one list a weight), share the part of all
    lists counted. With --distinctive, all_share is the part of the lists of all layers, weights and signs that hold it,
    and tokens are ordered by score, places times ln(share / all_share).
    """
    out.emit(source.ask(layer_tokens, number, weight=weight, sign=sign, distinctive=distinctive, limit=limit))
