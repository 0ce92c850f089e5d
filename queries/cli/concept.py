"""`neuron-atlas concept`: the neurons that encode a concept."""

from __future__ import annotations

from typing import Any

import click

from atlas.answers.cells import quoted
from atlas.cli.emit import Output, note
from atlas.cli.options import answer_options, bundled, fit_options, limit_option
from atlas.fit_choice import FitChoice
from queries.cli.options import Source, range_options, source_options
from queries.compact import compact_neurons
from queries.fits import choose_fit
from queries.neurons import Only, neurons_for_concept
from queries.ranges import GAUSSIAN, choose_range
from queries.tokens import token_forms


def _only(words: tuple[str, ...], **others: Any) -> Only:
    return Only(words=words or None, **others)


@click.command(epilog="Example: neuron-atlas concept sports --max-leakage 0.2 --limit 10")
@click.argument("name", metavar="NAME")
@range_options
@click.option("--layer", type=int, help="Only this layer, counted from 0.")
@click.option(
    "--max-leakage",
    type=float,
    metavar="SHARE",
    help="Only neurons that leak at most this share: of intervals the held-out one.",
)
@click.option(
    "--min-coverage", type=float, metavar="SHARE", help="Only neurons that cover at least this share, likewise."
)
@click.option(
    "--token",
    "words",
    multiple=True,
    metavar="WORD",
    help="Only neurons that also hold this word; repeatable.",
)
@click.option("--io-class", metavar="CLASS", help="Only neurons that do this to what they read, as `weights` names it.")
@bundled("only", _only, ("layer", "max_leakage", "min_coverage", "words", "io_class"))
@fit_options
@limit_option(20)
@source_options
@answer_options(picture="Also draw the best ones.")
def concept(
    name: str,
    ranges: dict[str, Any],
    only: Only,
    fit: FitChoice,
    limit: int,
    source: Source,
    out: Output,
) -> None:
    """Neurons that encode the concept NAME, strongest first, with the interval in which each one does.

    interval is the closed interval of the activation with the largest coverage - leakage. held_out is its coverage /
    leakage, the share of the concept's texts inside and that of all others, on texts that the interval was not found
    on; by these neurons are ranked. expected is what to expect of the two shares on new texts, since the first of many
    neurons owe part of their place to luck. ap is the average precision of the activation, from 0 to 1, and the side
    that speaks for the concept: high or low. q is the share of false discoveries to expect among all neurons that do
    as well. Other formats have a column for each number, held_out_coverage, expected_coverage and so on, and the other
    concept that gets in most: held_out_worst_concept.

    With --range gaussian it is the range mean +- tau standard deviations of the activation on the concept, its shares
    those of the texts that it was made of, and auc, which tells the concept from the rest: 0.5 nothing, 1 always
    higher, 0 always lower. So it is for an atlas that was built without intervals.

    Notes say what to expect of the best neuron on new texts, whether luck would do as well (p by permutations, for the
    best of all neurons), and whether the length of texts alone tells the concept.

    reads are the tokens that open the neuron: those that gate_proj raises (up_proj where there is no gate).
    writes are the tokens that it makes likelier when its activation goes from the rest's mean to the concept's:
    those that down_proj raises, or where the concept's mean is the lower one those that it lowers.
    """
    with source.open() as atlas:
        if only.words:
            note("tokens used: " + " ".join(map(quoted, token_forms(atlas, only.words).column("token"))))
        result = neurons_for_concept(atlas, name, fit=fit, only=only, limit=limit, **ranges)
        if out.picture is not None:
            from queries.plots.plot import plot_concept

            kind, chosen = choose_range(choose_fit(atlas, name, fit), ranges["range"], ranges["rule"])
            shaded = GAUSSIAN.name if kind is GAUSSIAN else ranges["range"]
            plot_concept(atlas, name, out.picture, fit=fit, tau=ranges["tau"], rule=chosen.name, range=shaded)
            note(f"picture written to {out.picture}")
    out.emit(compact_neurons(result) if out.format == "table" else result)
