"""`neuron-atlas neuron`: the whole card of one neuron."""

from __future__ import annotations

import click

from atlas.cli.emit import Output, note
from atlas.cli.options import answer_options, fit_options, section_option
from atlas.errors import QuestionError
from atlas.fit_choice import FitChoice
from queries.card import CONCEPTS, SECTIONS, TOKENS, compact_tokens, neuron_card
from queries.cli.options import Source, source_options, tau_option
from queries.compact import compact_concepts
from queries.descriptions import DESCRIPTIONS


@click.command(epilog="Example: neuron-atlas neuron L29N808 --top 5")
@click.argument("address", metavar="ADDRESS")
@click.option("--top", type=click.IntRange(min=1), help="Tokens per weight and sign. Default: 8.")
@tau_option
@section_option(SECTIONS)
@fit_options
@source_options
@answer_options(picture="Also draw its Gaussians.")
def neuron(
    address: str, top: int | None, tau: float | None, section: str | None, fit: FitChoice, source: Source, out: Output
) -> None:
    """The card of the neuron at ADDRESS, written L29N808: layer 29, neuron 808, both counted from 0.

    Its tokens by weight and sign (1: raised, -1: lowered): what it reads, the tokens that it responds to, stands
    under up_proj and gate_proj, what it writes, the tokens that it makes likelier, under down_proj. Every concept,
    best separated (by auc) first: the range, mean +- tau standard deviations, with its coverage and leakage, and the
    interval that tells the concept best, with its coverage / leakage on texts that it was not found on (held_out) and
    q. Its background over all examples, and how it goes with the length of texts. After `build --gradients`, its
    attribution: what it adds to the logit of each concept's token, computed, with how far edits agree. After `build
    --texts`, where it is largest and smallest in running text, and how often it fires there. Descriptions, if there are
    any, each with its author, its measured score and, as the control, the score of another neuron's description. The
    options that name a fit narrow what is listed.
    """
    with source.open() as atlas:
        card = neuron_card(atlas, address, fit=fit, tau=tau, top=top)
        if out.picture is not None:
            from queries.plots.plot import plot_neuron

            plot_neuron(atlas, address, out.picture, fit=fit, tau=tau)
            note(f"picture written to {out.picture}")
    if section == DESCRIPTIONS and section not in card.sections:
        raise QuestionError(
            f"nobody has described {address} here",
            f"`neuron-atlas build --add --no-decode --no-concepts --describe {address}` does.",
        )
    if out.format == "table":
        card.sections[CONCEPTS] = compact_concepts(card.sections[CONCEPTS])
        if section is None and TOKENS in card.sections:
            card.sections[TOKENS] = compact_tokens(card.sections[TOKENS])
    out.emit_document(card, section)
