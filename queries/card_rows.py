"""The rows of a neuron's card, put together from the few rows that each table has about one neuron.

A join would make DuckDB plan, and hash the tables of texts, for longer than it reads; the neuron's own rows are
found by their place in sorted tables.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from atlas.schema.measures import float32
from atlas.sites import WEIGHTS
from atlas.store.ahead import Statement
from atlas.store.reader import Atlas
from queries.fits import Fit
from queries.measured import BASE, GAUSSIANS, RANGES, WORST, card_columns, card_sql, columns_on, shown_on, table_names
from queries.session.filled import has_rows
from queries.session.resident import resident, token_texts
from queries.sqlfile import load_sql

TOKEN_COLUMNS = "weight sign rank token_id token logit probability cosine".split()
CONCEPT_COLUMNS = ["family", "concept", "site", "position", *columns_on("card"), "interval_p"]
BACKGROUND_COLUMNS = "family site position n mean std skewness kurtosis min max mean_abs ks length_correlation".split()


_OF = {"neuron_attribution": "_gradient", "redundant_group": "_redundant"}
"""Statements that find nothing where a table is empty, as it is in most atlases."""
Read = dict[str, list[tuple[Any, ...]]]
"""Rows of one neuron by the name of what was read."""


def read(atlas: Atlas, layer: int, neuron: int, *names: str) -> Read:
    """What the tables have about one neuron: by statement of queries/sql, and by table of measures."""
    asked = _asked(atlas, names)
    found = zip(asked, atlas.rows(list(asked.values()), layer=layer, neuron=neuron), strict=True)
    return {name: [] for name in names} | dict(found)


def read_statements(atlas: Atlas, layer: int, neuron: int, *names: str) -> list[Statement]:
    """What `read` asks, to be read ahead."""
    return [(sql, {"layer": layer, "neuron": neuron}) for sql in _asked(atlas, names).values()]


def _asked(atlas: Atlas, names: Iterable[str]) -> dict[str, str]:
    """Statements by what they are called."""
    asked = [name for name in dict.fromkeys(names) if name not in _OF or has_rows(atlas, _OF[name])]
    return {name: card_sql(name) if name in table_names("card") else load_sql(name) for name in asked}


def token_rows(atlas: Atlas, lists: list[tuple[Any, ...]], top: int) -> list[tuple[Any, ...]]:
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
                length = float32(norm * token_norm)
                cosine = float32(logit / length) if length else None
                probability = math.exp(sign * logit - lse)
                rows.append((weight, sign, rank, token_id, token, logit, probability, cosine))
    return rows


def concept_rows(
    found: Read,
    fits: dict[int, Fit],
    taus: dict[int, float | None],
    luck: Mapping[tuple[int, int | None], float | None],
) -> list[tuple[Any, ...]]:
    """CONCEPT_COLUMNS of one neuron in `fits`, each at its half-width in `taus`; best separated first.

    `found`: its rows, by table of measures. `luck`: interval_p of a fit and concept, where it is known.
    """
    columns = {table: card_columns(table) for table in found}
    ranges = {row[:3]: row[3:] for row in found[RANGES]}
    others = {(table, row[:2]): row[2:] for table in found if table not in BASE for row in found[table]}
    measures = [(measure.name, measure.of) for measure in shown_on("card")]
    names = columns_on("card")
    ordered = []
    for fit_id, concept_id, *stored in found[GAUSSIANS]:
        fit = fits.get(fit_id)
        if fit is None:
            continue
        concept, _ = fit.concepts[concept_id]
        half = taus[fit_id]
        counted = ranges.get((fit_id, concept_id, half), (None,) * len(columns[RANGES]))
        measured = counted[0] is not None
        numbers: dict[str, Any] = {"tau": half if measured else None}
        numbers |= zip(columns[GAUSSIANS], stored, strict=True)
        n, numbers["n_all"] = numbers["n"], fit.n if numbers["n_all"] is None else numbers["n_all"]
        numbers |= zip(columns[RANGES], counted, strict=True)
        for table in found:
            if (table, (fit_id, concept_id)) in others:
                numbers |= zip(columns[table], others[table, (fit_id, concept_id)], strict=True)
        row = {"n": n, "tau": numbers["tau"]} | {name: of(numbers) for name, of in measures}
        for worst in WORST.values():
            other = fit.concepts.get(numbers.get(worst.concept_id, -1))
            row |= {worst.concept: None, worst.leakage: None}
            if other is not None:
                row |= {worst.concept: other[0], worst.leakage: numbers[worst.inside] / (numbers[worst.n] or other[1])}
        distance = math.inf if row["auc"] is None else -abs(row["auc"] - 0.5)
        place = (fit.family, concept, fit.site, fit.position)
        p = luck.get((fit_id, concept_id))
        ordered.append(((distance, *place, fit_id), (*place, *(row[name] for name in names), p)))
    return [row for _, row in sorted(ordered, key=lambda pair: pair[0])]


def background_rows(
    found: list[tuple[Any, ...]], lengths: list[tuple[Any, ...]], fits: dict[int, Fit]
) -> list[tuple[Any, ...]]:
    """BACKGROUND_COLUMNS of one neuron in `fits`, by family, site and position.

    `lengths`: its length_correlation by fit_id, of those that have one.
    """
    ordered, correlation = [], dict(lengths)
    for fit_id, *numbers in found:
        fit = fits.get(fit_id)
        if fit is not None:
            ordered.append((fit.family, fit.site, fit.position, fit_id, [*numbers, correlation.get(fit_id)]))
    return [(*row[:3], *row[4]) for row in sorted(ordered, key=lambda row: row[:4])]
