"""The neurons of a set of tokens, from their postings and the arrays of resident.py.

Gives exactly the rows of sql/neurons_for_token.sql, which is its reference: that file says what is computed.
Axes: P postings, S spots (neurons of the model, layer by layer).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from atlas.sites import WEIGHTS, format_neuron
from atlas.store.reader import Atlas
from queries.session.resident import Resident
from queries.sqlfile import load_sql

if TYPE_CHECKING:
    import numpy as np

COLUMNS = "address layer neuron score hits forms weight sign rank token logit probability cosine tokens".split()


def search(
    atlas: Atlas, kept: Resident, asked: dict[str, Any], weighed: dict[int, float] | None = None
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Columns and rows for the parameters `asked` of sql/neurons_for_token.sql; `weighed`: of each token, else 1."""
    import numpy as np

    width, spots = atlas.manifest.d_mlp, atlas.manifest.n_layers * atlas.manifest.d_mlp
    postings = narrowed(atlas, asked)
    nid_P, spot_P = postings["nid"], postings["nid"] % spots
    logit_P = postings["logit"].astype(np.float64)
    norm_P = kept.norm_R.take(nid_P).astype(np.float64)
    token_norm_P = kept.token_norm_V.take(postings["token_id"]).astype(np.float64)
    defined_P = (norm_P > 0) & (token_norm_P > 0)
    length_P = norm_P * token_norm_P
    if not defined_P.all():
        length_P[~defined_P] = np.inf  # their cosine counts as 0
    cosine_P = logit_P / length_P
    square_P = cosine_P * cosine_P
    if weighed is not None:
        square_P *= np.array([weighed.get(token_id, 0.0) for token_id in postings["token_id"].tolist()])
    best_S, score_S = _strongest(spot_P, square_P, defined_P, spots, asked["limit"])
    chosen = np.zeros(spots, bool)
    chosen[best_S] = True
    places: dict[int, list[tuple[Any, ...]]] = {spot: [] for spot in best_S.tolist()}
    for p in np.flatnonzero(chosen[spot_P]).tolist():
        nid, sign, token_id = int(nid_P[p]), int(postings["sign"][p]), int(postings["token_id"][p])
        cosine = float(cosine_P[p]) if defined_P[p] else None
        place = (int(postings["rank"][p]), -abs(cosine or 0.0), nid, -sign, token_id, float(logit_P[p]), cosine)
        places[int(spot_P[p])].append(place)
    rows = []
    for spot, score in zip(best_S.tolist(), score_S.tolist(), strict=True):
        rank, _, nid, minus_sign, token_id, logit, cosine = min(places[spot])
        layer, neuron, sign = spot // width, spot % width, -minus_sign
        forms = len({place[4] for place in places[spot]})
        probability = math.exp(sign * logit - float(kept.lse_SR[int(sign < 0), nid]))
        first = (format_neuron(layer, neuron), layer, neuron, None if math.isnan(score) else score, len(places[spot]))
        context = kept.head(nid, sign, asked["context"])
        weight = list(WEIGHTS)[nid // spots]
        rows.append((*first, forms, weight, sign, rank, kept.tokens[token_id], logit, probability, cosine, context))
    return COLUMNS, rows


def narrowed(atlas: Atlas, asked: dict[str, Any]) -> dict[str, np.ndarray]:
    """The postings of `ids`, narrowed by sign, weight and layer where these are given."""
    postings = atlas.arrays(load_sql("postings"), {"ids": asked["ids"], "sign": asked["sign"]})
    width, n_layers = atlas.manifest.d_mlp, atlas.manifest.n_layers
    if asked["weight"] is not None or asked["layer"] is not None:
        block_P = postings["nid"] // width
        kept_P = block_P >= 0
        if asked["weight"] is not None:
            kept_P &= block_P // n_layers == list(WEIGHTS).index(asked["weight"])
        if asked["layer"] is not None:
            kept_P &= block_P % n_layers == asked["layer"]
        postings = {name: values[kept_P] for name, values in postings.items()}
    return postings


def _strongest(
    spot_P: np.ndarray, square_P: np.ndarray, defined_P: np.ndarray, spots: int, limit: int
) -> tuple[np.ndarray, np.ndarray]:
    """The `limit` spots of the highest score, best first, equal ones by place; and their scores, float32.

    A spot without any defined cosine has the score NaN and comes last.
    """
    import numpy as np

    # Postings are few beside the spots: a score is found at each posting of its spot, not among all spots.
    score_P = np.bincount(spot_P, weights=square_P, minlength=spots).take(spot_P).astype(np.float32)
    if not defined_P.all():
        scored_S = np.zeros(spots, bool)
        scored_S[spot_P[defined_P]] = True
        score_P[~scored_S[spot_P]] = -np.inf
    near = np.arange(len(spot_P))
    wanted = 16 * limit  # a spot takes as many places here as it has postings
    while wanted < len(spot_P):
        near = np.flatnonzero(score_P >= np.partition(score_P, -wanted)[-wanted])
        if len(np.unique(spot_P[near])) >= limit:
            break
        near, wanted = np.arange(len(spot_P)), 8 * wanted
    best, index = np.unique(spot_P[near], return_index=True)
    score = score_P[near[index]]
    order = np.lexsort((best, -score))[:limit]
    return best[order], np.where(score == -np.inf, np.nan, score)[order]
