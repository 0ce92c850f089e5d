"""The neurons of a concept in the order of a rule, kept in memory by a session that asks for them repeatedly.

Gives exactly the rows of sql/neurons_for_concept.sql, which is its reference: that file says what is computed. A
ranking holds the first 65,536 neurons (about 6 MB); a question that these do not answer goes to the file.
Axes: M neurons of the ranking, strongest first; P postings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from atlas.sites import format_neuron, row_number
from atlas.store.reader import Atlas
from queries.experts import all_experts
from queries.fits import all_fits
from queries.measured import WORST, columns_on, measured_sql, shown_sql
from queries.ranges import Range
from queries.session.resident import Resident
from queries.session.session import session_of
from queries.sqlfile import load_sql

if TYPE_CHECKING:
    import numpy as np

COLUMNS = ["address", "layer", "neuron", *columns_on("concept"), "token_hits", "token_rank", "reads", "writes"]
LONGEST = 65536
_PATIENCE = 2


class Ranking(NamedTuple):
    """`columns`: one array [M] a column of sql/ranking.sql."""

    columns: dict[str, np.ndarray]
    complete: bool
    """Whether no neuron is left out."""

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return sum(values.nbytes for values in self.columns.values())


def ranking(atlas: Atlas, fit_id: int, concept_id: int, tau: float, order_by: str) -> Ranking | None:
    """The neurons of one concept by one rule; None while they were asked for too rarely to be worth the sorting."""
    asked = (fit_id, concept_id, tau, order_by)
    return session_of(atlas).read_if_often(("ranking", *asked), lambda: read_ranking(atlas, *asked), _PATIENCE)


def read_ranking(atlas: Atlas, fit_id: int, concept_id: int, tau: float, order_by: str) -> Ranking:
    """Read and sort."""
    shown = ", ".join(f"coalesce({sql}, 'nan') AS {name}" for name, sql in shown_sql())
    sql = load_sql("ranking", order_by=order_by, measured=measured_sql(not all_experts(atlas)), columns=shown)
    asked = {"fit_id": fit_id, "concept_id": concept_id, "tau": tau, "longest": LONGEST}
    columns = atlas.arrays(sql, asked)
    return Ranking(columns, len(columns["layer"]) < LONGEST)


def pick(
    atlas: Atlas, kept: Resident, found: Ranking, asked: dict[str, Any], kind: Range
) -> list[tuple[Any, ...]] | None:
    """Rows for the parameters `asked` of sql/neurons_for_concept.sql; None where the ranking is too short, and for one
    IO class, which is not kept.

    `kind`: the ranges whose coverage and leakage they are about.
    """
    import numpy as np

    if asked.get("io_class") is not None:
        return None
    columns, concepts = found.columns, all_fits(atlas)[asked["fit_id"]].concepts
    spot_M = columns["layer"]
    spot_P: np.ndarray | None = None
    rank_P: np.ndarray | None = None
    wanted_M = np.ones(len(columns["layer"]), bool)
    if asked["layer"] is not None:
        wanted_M &= columns["layer"] == asked["layer"]
    if asked["max_leakage"] is not None:
        wanted_M &= columns[kind.leakage] <= asked["max_leakage"]
    for name, least in ((kind.coverage, asked["min_coverage"]), ("coverage", asked["rule_coverage"])):
        if least is not None:
            wanted_M &= columns[name] >= least
    if asked["ids"] is not None:
        postings = atlas.arrays(load_sql("posting_places"), {"ids": asked["ids"]})
        d_mlp, n_layers = atlas.manifest.d_mlp, atlas.manifest.n_layers
        stride = max(d_mlp, atlas.manifest.d_model)  # a coordinate of the residual stream may exceed d_mlp
        rank_P = postings["rank"]
        spot_P = postings["nid"] // d_mlp % n_layers * stride + postings["nid"] % d_mlp
        spot_M = columns["layer"] * stride + columns["neuron"]
        seen = np.zeros(n_layers * stride, bool)
        seen[spot_P] = True
        wanted_M &= seen[spot_M]
    chosen = np.flatnonzero(wanted_M)[: asked["limit"]]
    if len(chosen) < asked["limit"] and not found.complete:
        return None
    picked = {name: values[chosen].tolist() for name, values in columns.items()}
    hits: Sequence[tuple[int | None, int | None]] = [(None, None)] * len(chosen)
    if spot_P is not None and rank_P is not None:
        hits = _hits(spot_P, rank_P, spot_M[chosen])
    rows = []
    for i in range(len(chosen)):
        found_here = ((name, picked[name][i]) for name in picked)
        row: dict[str, Any] = {name: None if value != value else value for name, value in found_here}
        layer, neuron = row["layer"], row["neuron"]
        for worst in WORST.values():
            other = concepts.get(row[worst.concept_id])
            row |= {worst.concept: None, worst.leakage: None}
            if other is not None:
                n = row[worst.n] if row[worst.n] >= 0 else other[1]
                row |= {worst.concept: other[0], worst.leakage: row[worst.inside] / n}
        token_hits, token_rank = hits[i]
        row |= {
            "address": format_neuron(layer, neuron),
            "token_hits": token_hits,
            "token_rank": token_rank,
            "reads": _head(atlas, kept, asked["read_weight"], layer, neuron, 1, asked["context"]),
            "writes": _head(atlas, kept, asked["write_weight"], layer, neuron, _turn(row), asked["context"]),
        }
        rows.append(tuple(row[name] for name in COLUMNS))
    return rows


def _hits(spot_P: np.ndarray, rank_P: np.ndarray, spots: np.ndarray) -> list[tuple[int, int]]:
    """How many postings each of `spots` has, and its best rank."""
    import numpy as np

    near = np.isin(spot_P, spots)
    ranks: dict[int, list[int]] = {}
    for spot, rank in zip(spot_P[near].tolist(), rank_P[near].tolist(), strict=True):
        ranks.setdefault(spot, []).append(rank)
    return [(len(ranks[spot]), min(ranks[spot])) for spot in spots.tolist()]


def _turn(row: dict[str, Any]) -> int:
    """The sign of what the neuron writes when it goes from the rest's mean to the concept's."""
    return 1 if row["rest_mean"] is not None and row["mean"] >= row["rest_mean"] else -1


def _head(
    atlas: Atlas, kept: Resident, weight: str | None, layer: int, neuron: int, sign: int, length: int
) -> list[str] | None:
    """The strongest tokens of one weight of a neuron; None where it is not decoded."""
    if weight is None:
        return None
    nid = row_number(weight, layer, neuron, atlas.manifest.n_layers, atlas.manifest.d_mlp)
    return kept.head(nid, sign, length) if kept.decoded_R[nid] else None
