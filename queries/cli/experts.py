"""`neuron-atlas experts`: where the router of a mixture of experts sends tokens."""

from __future__ import annotations

import click

from atlas.cli.emit import Output
from atlas.cli.options import answer_options, fit_options, limit_option
from atlas.fit_choice import FitChoice
from queries.cli.options import Source, source_options
from queries.routing import ORDERS, expert_routing


@click.command(epilog="Example: neuron-atlas experts animals --layer 12")
@click.argument("concept", metavar="[CONCEPT]", required=False)
@click.option("--layer", type=int, help="Only this layer, counted from 0.")
@click.option(
    "--by",
    type=click.Choice(list(ORDERS)),
    default="auc",
    show_default=True,
    help="Which experts of a concept come first: "
    + "; ".join(f"{name}: {said}" for name, said in ORDERS.items())
    + ".",
)
@fit_options
@limit_option(20)
@source_options
@answer_options()
def experts(
    concept: str | None, layer: int | None, by: str, fit: FitChoice, limit: int, source: Source, out: Output
) -> None:
    """The experts that the router sends a CONCEPT's tokens to; without one, all experts of the model.

    token_share is the part of the concept's tokens that were sent to the expert, others_token_share that of all other
    concepts' tokens, lift the one divided by the other. router_auc tells how well the router's logit for the expert
    separates the concept's texts from all others: 0.5 not at all, 1 always higher. n is how many values of the concept
    the statistics of the expert's neurons are of. first is the expert's first neuron.

    Without a CONCEPT, running_share is the part of the running text that reaches an expert (of atlases built with
    --texts), and concept the one that its router tells best. For atlases of mixtures of experts.
    """
    out.emit(source.ask(expert_routing, concept, layer=layer, by=by, fit=fit, limit=limit))
