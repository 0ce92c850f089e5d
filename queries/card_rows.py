"""The rows of a neuron's card, put together from the few rows that each table has about one neuron.

A join would make DuckDB plan, and hash the tables of texts, for longer than it reads; the neuron's own rows are
found by their place in sorted tables.
"""

from __future__ import annotations

import ctypes
import math
from typing import Any

from atlas.sites import WEIGHTS
from atlas.store.reader import Atlas
from queries.fits import Fit
from queries.session.resident import resident, token_texts
from queries.sqlfile import load_sql

TOKEN_COLUMNS = "weight sign rank token_id token logit probability cosine".split()
CONCEPT_COLUMNS = (
    "family concept site position n mean std tau lower upper coverage leakage worst_concept worst_leakage auc dprime "
    "overlap skewness kurtosis min max mean_abs ks"
).split()
BACKGROUND_COLUMNS = "family site position n mean std skewness kurtosis min max mean_abs ks".split()


def read(atlas: Atlas, layer: int, neuron: int, *names: str) -> dict[str, list[tuple]]:
    """What the tables have about one neuron: the answers of the statements `names` of queries/sql."""
    return dict(zip(names, atlas.rows([load_sql(name) for name in names], layer=layer, neuron=neuron), strict=True))


def token_rows(atlas: Atlas, lists: list[tuple], top: int) -> list[tuple]:
    """TOKEN_COLUMNS: weights in order, raised before lowered, strongest first."""
    # Cut here: DuckDB takes longer to slice a list than to hand it over.
    lists = [(*row[:4], *(side[:top] for side in row[4:])) for row in lists]
    lists.sort(key=lambda row: list(WEIGHTS).index(row[0]))
    ids = {token_id for row in lists for tokens in (row[4], row[6]) for token_id in tokens}
    texts = token_texts(atlas, resident(atlas), ids)
    rows = []
    for weight, norm, raised_lse, lowered_lse, *sides in lists:
        for sign, lse, tokens, logits in ((1, raised_lse, *sides[:2]), (-1, lowered_lse, *sides[2:])):
            for rank, (token_id, logit) in enumerate(zip(tokens, logits, strict=True), start=1):
                token, token_norm = texts[token_id]
                # In float32, step by step, as the view token_decoding computes it.
                length = _float32(norm * token_norm)
                cosine = _float32(logit / length) if length else None
                probability = math.exp(sign * logit - lse)
                rows.append((weight, sign, rank, token_id, token, logit, probability, cosine))
    return rows


def concept_rows(
    gaussians: list[tuple], counted: list[tuple], fits: dict[int, Fit], taus: dict[int, float | None]
) -> list[tuple[Any, ...]]:
    """CONCEPT_COLUMNS of one neuron in `fits`, each at its half-width in `taus`; best separated first."""
    ranges = {row[:3]: row[3:] for row in counted}
    ordered = []
    for fit_id, concept_id, mean, std, twice_u, dprime, overlap, *moments in gaussians:
        fit = fits.get(fit_id)
        if fit is None:
            continue
        concept, n = fit.concepts[concept_id]
        n_rest = fit.n - n
        half = taus[fit_id]
        inside, others_inside, worst_id, worst_inside = ranges.get((fit_id, concept_id, half), (None,) * 4)
        measured = inside is not None
        worst, worst_n = fit.concepts.get(worst_id, (None, None))
        pairs = 2.0 * n * n_rest
        auc = twice_u / pairs if pairs else None
        row = (
            *(fit.family, concept, fit.site, fit.position, n, mean, std, half if measured else None),
            *((_float32(mean + side * half * std) if measured else None) for side in (-1, 1)),
            inside / n if measured else None,
            others_inside / n_rest if measured and n_rest else None,
            worst,
            None if worst is None else worst_inside / worst_n,
            *(auc, dprime, overlap, *moments),
        )
        distance = math.inf if auc is None else -abs(auc - 0.5)
        ordered.append(((distance, fit.family, concept, fit.site, fit.position, fit_id), row))
    return [row for _, row in sorted(ordered, key=lambda pair: pair[0])]


def background_rows(found: list[tuple], fits: dict[int, Fit]) -> list[tuple[Any, ...]]:
    """BACKGROUND_COLUMNS of one neuron in `fits`, by family, site and position."""
    ordered = []
    for fit_id, *numbers in found:
        fit = fits.get(fit_id)
        if fit is not None:
            ordered.append((fit.family, fit.site, fit.position, fit_id, numbers))
    return [(*row[:3], *row[4]) for row in sorted(ordered, key=lambda row: row[:4])]


def _float32(value: float) -> float:
    """The nearest float32."""
    return ctypes.c_float(value).value
