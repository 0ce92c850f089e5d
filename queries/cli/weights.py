"""`neuron-atlas weights`: neurons by a fact of their weights."""

from __future__ import annotations

import click

from atlas.cli.emit import Output
from atlas.cli.options import answer_options, limit_option
from atlas.schema.weight_measures import WEIGHT_MEASURES
from atlas.schema.weight_rules import IO_CLASSES
from atlas.sites import WEIGHTS
from queries import weights as question
from queries.cli.options import Source, source_options


@click.command(epilog="Example: neuron-atlas weights --by cosine_kurtosis --layer 29")
@click.option(
    "--by",
    type=click.Choice(list(WEIGHT_MEASURES)),
    default=question.DEFAULT_BY,
    show_default=True,
    help="The fact to rank by: "
    + "; ".join(f"{measure.name}: {measure.meaning}" for measure in WEIGHT_MEASURES.values())
    + ".",
)
@click.option(
    "--weight",
    type=click.Choice(list(WEIGHTS)),
    default=question.DEFAULT_WEIGHT,
    show_default=True,
    help="Whose vectors are ranked, where the fact is one of a vector, and whose tokens are shown.",
)
@click.option("--layer", type=int, help="Only this layer, counted from 0.")
@click.option("--io-class", type=click.Choice(IO_CLASSES), help="Only neurons of this class.")
@click.option("--ascending", is_flag=True, help="Smallest first.")
@limit_option(20)
@source_options
@answer_options()
def weights(
    by: str,
    weight: str,
    layer: int | None,
    io_class: str | None,
    ascending: bool,
    limit: int,
    source: Source,
    out: Output,
) -> None:
    """Neurons ranked by a fact of their weights alone, which no text has part in.

    io_class says what a neuron does to the direction that it reads: enrichment writes more of it, depletion takes from
    it, conditional ones read it and are opened by another, proportional change writes the direction of its gate;
    orthogonal output is none of these. tokens are those that the weight raises most.
    """
    out.emit(
        source.ask(
            question.neurons_by_weights,
            by=by,
            weight=weight,
            layer=layer,
            io_class=io_class,
            ascending=ascending,
            limit=limit,
        )
    )
