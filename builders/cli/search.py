"""The command `search`: neurons by what a few words mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import click

from atlas.cli.emit import Output, note
from atlas.cli.options import answer_options, atlas_option, limit_option, timeout_option
from atlas.schema.description_tables import SIDES
from atlas.store.reader import open_atlas
from queries.search import DEFAULT_LIMIT, search
from queries.session.vectors import embedder_of


@click.command("search", epilog='Example: neuron-atlas search "money and banks" --side output')
@click.argument("text", metavar="TEXT")
@click.option("--side", type=click.Choice(SIDES), help="What neurons respond to, or what they promote. Default: both.")
@click.option(
    "--embedder",
    metavar="EMBEDDER",
    help="What embeds TEXT: tokens (it is searched by its tokens), local:MODEL, or openai:URL#MODEL. Default: what "
    "embedded the atlas, if it is on this machine.",
)
@limit_option(DEFAULT_LIMIT)
@atlas_option
@timeout_option
@answer_options()
def search_command(
    text: str,
    side: str | None,
    embedder: str | None,
    limit: int,
    atlas_path: Path,
    timeout: float | None,
    out: Output,
) -> None:
    """Neurons that are about TEXT, best first.

    Where the descriptions of the atlas are embedded (`build --embed`), by the cosine of TEXT to them: exact, over all
    of them. Else by tokens: each word stands for its forms, and counts the more the fewer neurons have it among their
    top tokens.
    """
    with open_atlas(atlas_path, timeout) as atlas:
        embed = None if embedder == "tokens" else _embed(embedder_of(atlas), embedder)
        answer = search(atlas, text, side=side, limit=limit, embed=embed)
    out.emit(answer)


def _embed(stored: str | None, named: str | None) -> Callable[[str], Sequence[float]] | None:
    """What embeds a text as the atlas was embedded; None, with a note, where that cannot be done."""
    from builders.embeddings.question import embed_of  # numpy: only now

    embed, why_not = embed_of(stored, named)
    if embed is None:
        note(why_not)
    return embed
