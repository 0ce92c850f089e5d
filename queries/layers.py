"""What the neurons of a layer are about, all together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from atlas.answers.result import Result
from atlas.errors import UsageError
from atlas.sites import weight as weight_of
from atlas.store.reader import Atlas
from queries.answering import question
from queries.decoded import notes_on_layers
from queries.distinctive import commonness
from queries.require import require_layer, require_limit
from queries.session.resident import present, token_texts
from queries.session.session import session_of
from queries.sqlfile import load_sql

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Counts:
    """In how many of `lists` token lists each token of the vocabulary stands, [V]."""

    places_V: np.ndarray
    lists: int

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return self.places_V.nbytes


@question
def layer_tokens(
    atlas: Atlas,
    layer: int,
    *,
    weight: str | None = None,
    sign: int = 1,
    distinctive: bool = False,
    limit: int = 20,
) -> Result:
    """The tokens that stand in most token lists of a layer, most first, equal ones by id.

    Columns token_id, token, places (lists that hold the token) and share (of all lists counted). `weight` keeps
    the lists of one weight; `sign` +1 counts raised tokens, -1 lowered ones. No rows where nothing is decoded, with a
    note where other layers are.
    `distinctive` orders by places times ln(share / all_share), column `score`: tokens that these lists hold more than
    all do come first. all_share: of the lists of all layers, weights and signs, those that hold it.
    Raises UnknownNameError for a weight, QuestionError for a layer that does not exist, UsageError for another
    sign or a limit out of range.
    """
    import numpy as np

    require_layer(atlas, layer)
    if weight is not None:
        weight_of(weight)
    if sign not in (-1, 1):
        raise UsageError(f"sign {sign} is none of -1, 1", "1 counts raised tokens, -1 lowered ones.")
    require_limit(limit)
    key = ("token counts", layer, weight, sign)
    counts = session_of(atlas).read(key, lambda: _count(atlas, layer, weight, sign))
    places_V = counts.places_V
    common = commonness(atlas) if distinctive else None
    score_V = places_V if common is None else common.surplus(places_V, counts.lists)
    most = min(limit + 1, len(places_V))
    held = np.flatnonzero((places_V > 0) & (score_V >= np.partition(score_V, -most)[-most]))
    first = held[np.argsort(-score_V[held], kind="stable")[:most]].tolist()
    texts = token_texts(atlas, present(atlas), first)
    columns = ["token_id", "token", "places", "share"]
    counted = [(i, texts[i][0], int(places_V[i]), int(places_V[i]) / counts.lists) for i in first]
    notes = [] if counts.lists else notes_on_layers(atlas, weight=weight, layer=layer)
    if common is None:
        return Result(columns, counted, notes).cut(limit)
    weighed = [(*row, int(common.places_V[row[0]]) / common.lists, float(score_V[row[0]])) for row in counted]
    notes = [*notes, "ordered by score: places times ln(share / all_share), the share of the lists of all layers"]
    return Result([*columns, "all_share", "score"], weighed, notes).cut(limit)


def _count(atlas: Atlas, layer: int, weight: str | None, sign: int) -> Counts:
    """Read the lists as they are stored, and count in numpy: unnesting them in SQL takes five times as long."""
    import numpy as np

    lists = atlas.arrow(load_sql("layer_lists"), {"layer": layer, "weight": weight, "sign": sign})
    places_V = np.zeros(atlas.manifest.d_vocab, np.int64)
    for chunk in lists.column("tokens").chunks:
        places_V += np.bincount(chunk.flatten().to_numpy(), minlength=len(places_V))
    return Counts(places_V.astype(np.int32), lists.num_rows)
