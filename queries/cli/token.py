"""`neuron-atlas token`: the neurons that read or write a word."""

from __future__ import annotations

from pathlib import Path

import click

from atlas.answers.cells import quoted
from atlas.cli.emit import emit, note
from atlas.cli.options import atlas_option, limit_option, output_options, timeout_option
from atlas.sites import WEIGHTS
from atlas.store.reader import open_atlas
from queries.neurons import neurons_for_token
from queries.tokens import token_forms

SIGNS = {"both": 0, "raised": 1, "lowered": -1}


@click.command(epilog="Example: neuron-atlas token dog --weight gate_proj")
@click.argument("words", nargs=-1, required=True, metavar="WORD...")
@click.option("--exact", is_flag=True, help='Take each WORD as the literal text of a token, as in " dog".')
@click.option("--weight", type=click.Choice(list(WEIGHTS)), help="Only this weight. Default: all.")
@click.option(
    "--sign",
    type=click.Choice(list(SIGNS)),
    default="both",
    show_default=True,
    help="Raised or lowered tokens.",
)
@click.option("--layer", type=int, help="Only this layer, counted from 0.")
@limit_option(20)
@atlas_option
@timeout_option
@output_options
def token(
    words: tuple[str, ...],
    exact: bool,
    weight: str | None,
    sign: str,
    layer: int | None,
    limit: int,
    atlas_path: Path,
    timeout: float | None,
    output_format: str,
    output: Path | None,
) -> None:
    """Neurons that read or write a WORD, best first.

    A word stands for its forms in the vocabulary: upper and lower case, with and without a leading space, singular
    and plural; stderr says which. Several words are asked together.

    A neuron reads the tokens that it responds to (up_proj, gate_proj) and writes those that it makes likelier or
    unlikelier (down_proj); sign 1 means that the weight raises the token, -1 that it lowers it. A row shows the
    best place of one neuron. Neurons are ranked by score: the sum of squared cosines to the word's forms, over
    every place that a form has among their top tokens.
    """
    with open_atlas(atlas_path, timeout) as atlas:
        forms = token_forms(atlas, words, exact=exact)
        result = neurons_for_token(atlas, words, exact=exact, weight=weight, sign=SIGNS[sign], layer=layer, limit=limit)
    note("tokens used: " + " ".join(map(quoted, forms.column("token"))))
    emit(result, output_format, output)
