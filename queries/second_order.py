"""What a neuron of an image tower does to images' vectors through later attention heads: a section of its card."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atlas.answers.result import Result
from queries.patches import of_images
from queries.session.resident import present, token_texts
from queries.sqlfile import load_sql

if TYPE_CHECKING:
    from atlas.store.reader import Atlas

SECOND_ORDER = "second_order"
SHOWN = 8
"""Words of each side."""
COLUMNS = ["images", "mean_norm", "largest_norm", "used", "explained", "sign", "cosine", "words"]


def second_order_on_card(atlas: Atlas, layer: int, neuron: int) -> dict[str, Result]:
    """The section, of two rows: the words nearest to the direction of the neuron's effects (sign 1), and to its
    opposite; `cosine` is the first one's. None where the atlas has no such effects of the layer.
    """
    if not of_images(atlas):
        return {}
    (found,) = atlas.rows([load_sql("second_order")], layer=layer, neuron=neuron)
    if not found:
        return {}
    *said, raised, raised_cosine, lowered, lowered_cosine = found[0]
    names = token_texts(atlas, present(atlas), {*(raised or ()), *(lowered or ())})
    sides = ((1, raised, raised_cosine), (-1, lowered, lowered_cosine))
    rows = [
        (*said, sign, cosines[0], [names[word][0] for word in words[:SHOWN]])
        for sign, words, cosines in sides
        if words is not None
    ]
    if rows:
        return {SECOND_ORDER: Result(COLUMNS, rows)}
    note = f"it has no effect through later heads that differs among {said[0]} images"
    return {SECOND_ORDER: Result(COLUMNS, [], [note])}
