"""`neuron-atlas concept`: the neurons that encode a concept."""

from __future__ import annotations

from typing import Any

import click

from atlas.answers.cells import quoted
from atlas.cli.emit import Output, note
from atlas.cli.options import answer_options, bundled, fit_options, limit_option
from atlas.fit_choice import FitChoice
from queries.cli.options import Source, range_options, source_options
from queries.neurons import Only, neurons_for_concept
from queries.tokens import token_forms


def _only(words: tuple[str, ...], **others: Any) -> Only:
    return Only(words=words or None, **others)


@click.command(epilog="Example: neuron-atlas concept sports --max-leakage 0.05 --limit 10")
@click.argument("name", metavar="NAME")
@range_options
@click.option("--layer", type=int, help="Only this layer, counted from 0.")
@click.option("--max-leakage", type=float, metavar="SHARE", help="Only neurons that leak at most this share.")
@click.option("--min-coverage", type=float, metavar="SHARE", help="Only neurons that cover at least this share.")
@click.option(
    "--token",
    "words",
    multiple=True,
    metavar="WORD",
    help="Only neurons that also hold this word; repeatable.",
)
@bundled("only", _only, ("layer", "max_leakage", "min_coverage", "words"))
@fit_options
@limit_option(20)
@source_options
@answer_options(picture="Also draw the best ones.")
def concept(
    name: str,
    rule: str,
    tau: float | None,
    only: Only,
    fit: FitChoice,
    limit: int,
    source: Source,
    out: Output,
) -> None:
    """Neurons that encode the concept NAME, strongest first, with the range in which each one does.

    The range is mean +- tau standard deviations of the activation on the concept. coverage is the share of
    the concept's activations inside it, leakage the share of all others, worst_concept the one that gets in
    most. auc tells the concept from the rest: 0.5 nothing, 1 always higher, 0 always lower.

    reads are the tokens that open the neuron: those that gate_proj raises (up_proj where there is no gate).
    writes are the tokens that it makes likelier when its activation goes from the rest's mean to the concept's:
    those that down_proj raises, or where the concept's mean is the lower one those that it lowers.
    """
    with source.open() as atlas:
        if only.words:
            note("tokens used: " + " ".join(map(quoted, token_forms(atlas, only.words).column("token"))))
        result = neurons_for_concept(atlas, name, fit=fit, tau=tau, rule=rule, only=only, limit=limit)
        if out.picture is not None:
            from queries.plots.plot import plot_concept

            plot_concept(atlas, name, out.picture, fit=fit, tau=tau, rule=rule)
            note(f"picture written to {out.picture}")
    out.emit(result)
