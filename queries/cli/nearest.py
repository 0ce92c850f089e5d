"""`neuron-atlas nearest`: the neurons that point the same way as one."""

from __future__ import annotations

import click

from atlas.cli.emit import Output
from atlas.cli.options import answer_options, limit_option
from atlas.sites import WEIGHTS
from queries import nearest as question
from queries.cli.options import Source, source_options
from queries.stored_nearest import ALL, AMONG


@click.command(epilog="Example: neuron-atlas nearest L29N808 --weight gate_proj")
@click.argument("address", metavar="ADDRESS")
@click.option(
    "--weight",
    type=click.Choice(list(WEIGHTS)),
    default=question.DEFAULT_WEIGHT,
    show_default=True,
    help="Which of the neurons' vectors to compare.",
)
@click.option(
    "--among",
    type=click.Choice(AMONG),
    default=ALL,
    show_default=True,
    help="Compare with all neurons, those of the same layer, or those of the others.",
)
@limit_option(20)
@source_options
@answer_options()
def nearest(address: str, weight: str, among: str, limit: int, source: Source, out: Output) -> None:
    """The neurons whose weight vector has the largest cosine to that of the neuron at ADDRESS.

    tokens are those that the neighbour's vector raises most. The atlas holds the 16 nearest of each neuron's layer and
    of the others by up_proj and down_proj, unless it was built with --no-weight-facts or another --neighbours; for
    more, and for gate_proj, it must hold the vectors: build --vectors.
    """
    out.emit(source.ask(question.nearest, address, weight=weight, among=among, limit=limit))
