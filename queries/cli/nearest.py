"""`neuron-atlas nearest`: the neurons that point the same way as one."""

from __future__ import annotations

import click

from atlas.cli.emit import Output
from atlas.cli.options import answer_options, limit_option
from atlas.sites import WEIGHTS
from queries import nearest as question
from queries.cli.options import Source, source_options


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
@source_options
@answer_options()
def nearest(address: str, weight: str, limit: int, source: Source, out: Output) -> None:
    """The neurons whose weight vector has the largest cosine to that of the neuron at ADDRESS.

    tokens are those that the neighbour's vector raises most. The atlas must hold the vectors: build --vectors.
    """
    out.emit(source.ask(question.nearest, address, weight=weight, limit=limit))
