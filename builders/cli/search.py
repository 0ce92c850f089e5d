"""The command `search`: neurons by what a few words mean."""

from __future__ import annotations

from pathlib import Path

import click

from atlas.cli.emit import Output
from atlas.cli.options import answer_options, atlas_option, limit_option, timeout_option
from atlas.schema.description_tables import SIDES
from atlas.store.reader import open_atlas
from queries.search import DEFAULT_LIMIT, search


@click.command("search", epilog='Example: neuron-atlas search "money and banks" --side output')
@click.argument("text", metavar="TEXT")
@click.option("--side", type=click.Choice(SIDES), help="What neurons respond to, or what they promote. Default: both.")
@limit_option(DEFAULT_LIMIT)
@atlas_option
@timeout_option
@answer_options()
def search_command(
    text: str, side: str | None, limit: int, atlas_path: Path, timeout: float | None, out: Output
) -> None:
    """Neurons that are about TEXT, best first.

    Where the descriptions of the atlas are embedded (`build --embed`), by the cosine of TEXT to them. Else by tokens:
    each word stands for its forms, and counts the more the fewer neurons have it among their top tokens.
    """
    with open_atlas(atlas_path, timeout) as atlas:
        answer = search(atlas, text, side=side, limit=limit)
    out.emit(answer)
