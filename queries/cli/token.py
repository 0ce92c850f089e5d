"""`neuron-atlas token`: the neurons that read or write a word."""

from __future__ import annotations

from typing import Any

import click

from atlas.answers.cells import quoted
from atlas.cli.emit import Output, note
from atlas.cli.options import answer_options, bundled, limit_option
from atlas.sites import WEIGHTS
from queries.cli.options import Source, distinctive_option, sign_option, source_options
from queries.neurons import neurons_for_token
from queries.tokens import token_forms


@click.command(epilog="Example: neuron-atlas token dog --weight gate_proj")
@click.argument("words", nargs=-1, required=True, metavar="WORD...")
@click.option("--exact", is_flag=True, help='Take each WORD as the literal text of a token, as in " dog".')
@click.option("--weight", type=click.Choice(list(WEIGHTS)), help="Only this weight. Default: all.")
@sign_option("Raised or lowered tokens.")
@click.option("--layer", type=int, help="Only this layer, counted from 0.")
@distinctive_option("Weigh each token by ln(all token lists / those that hold it): common ones count little.")
@limit_option(20)
@source_options
@answer_options()
@bundled("lists", dict, ("weight", "sign", "layer"))
def token(
    words: tuple[str, ...],
    exact: bool,
    lists: dict[str, Any],
    distinctive: bool,
    limit: int,
    source: Source,
    out: Output,
) -> None:
    """Neurons that read or write a WORD, best first.

    A word stands for its forms in the vocabulary: upper and lower case, with and without a leading space, singular
    and plural; stderr says which. Several words are asked together.

    A neuron reads the tokens that it responds to (up_proj, gate_proj) and writes those that it makes likelier or
    unlikelier (down_proj); sign 1 means that the weight raises the token, -1 that it lowers it. A row shows the
    best place of one neuron. Neurons are ranked by score: the sum of squared cosines to the word's forms, over
    every place that a form has among their top tokens.
    """
    with source.open() as atlas:
        forms = token_forms(atlas, words, exact=exact)
        result = neurons_for_token(atlas, words, exact=exact, **lists, distinctive=distinctive, limit=limit)
    note("tokens used: " + " ".join(map(quoted, forms.column("token"))))
    out.emit(result)
