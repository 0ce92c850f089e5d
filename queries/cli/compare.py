"""`neuron-atlas compare`: how far a tuned model's neurons agree with its base's."""

from __future__ import annotations

from pathlib import Path

import click

from atlas.cli.emit import Output
from atlas.cli.options import ATLAS_PLACE, answer_options, section_option, timeout_option
from atlas.errors import UsageError
from atlas.store.reader import open_atlas
from queries import compare as question
from queries.compare_neuron import compare_neuron

_FILE = ATLAS_PLACE


@click.command("compare", epilog="Example: neuron-atlas compare base.duckdb instruct.duckdb --by layer")
@click.argument("base", type=_FILE)
@click.argument("tuned", type=_FILE)
@click.option(
    "--by",
    type=click.Choice(question.GROUPINGS),
    default="weight",
    show_default=True,
    help="One row per weight, or per weight and layer.",
)
@click.option("--neuron", metavar="ADDRESS", help="Show this neuron in both: tokens of its weights, and its intervals.")
@section_option(("tokens", "lists", "concepts"))
@timeout_option
@answer_options()
def compare(
    base: Path, tuned: Path, by: str, neuron: str | None, section: str | None, timeout: float | None, out: Output
) -> None:
    """How far two atlases agree: a model and a tuned version of it.

    same_token is the share of neurons whose most raised token is the same; shuffled is what that share
    would be by chance, with the neurons of each layer shuffled; mean_cosine says how far the weight
    vectors have turned (1: not at all), where both atlases store them.

    With --neuron, one neuron in both: in_both says whether the tuned list has the base's token too, and each
    concept that both atlases have at the same site and position comes with the interval and the range of either.
    """
    if section is not None and neuron is None:
        raise UsageError("--section is a part of what --neuron shows", "Name a neuron, or leave it out.")
    with open_atlas(base, timeout) as base_atlas, open_atlas(tuned, timeout) as tuned_atlas:
        if neuron is not None:
            out.emit_document(compare_neuron(base_atlas, tuned_atlas, neuron), section)
        else:
            out.emit(question.compare(base_atlas, tuned_atlas, by=by))
