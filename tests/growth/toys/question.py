"""A question and its command."""

import click

from atlas.answers.result import Result
from atlas.cli.emit import Output
from atlas.cli.options import answer_options, limit_option
from queries.answering import question
from queries.cli.options import Source, source_options

_SQL = """SELECT neuron_name(layer, neuron) AS address, largest FROM loudest_weight
          ORDER BY largest DESC, layer, neuron LIMIT $limit"""


@question
def loudest_neurons(atlas, limit):
    """The neurons with the largest weights, largest first."""
    return Result(*atlas.query(_SQL, {"limit": limit}))


@click.command(epilog="Example: neuron-atlas loudest --limit 3")
@limit_option(5)
@source_options
@answer_options()
def loudest(limit: int, source: Source, out: Output) -> None:
    """The neurons with the largest weights."""
    with source.open() as atlas:
        out.emit(loudest_neurons(atlas, limit))
