"""What builders promise of the rows of an atlas, beyond their types: checked before publishing and by `verify`.

A predicate must be true for every row of its source; a count must be 0. {top}, {bins}, {d_model}, {n_layers} and
{width} are the integers of the file (statements.Layout). They use none of the file's own macros and views: those are
what a damaged file may have wrong. What must hold inside lists and between rows and their lists is checked in
`atlas.store.scan`, which reads them anyway.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from atlas.schema.description_rules import DESCRIPTION_RULES
from atlas.schema.detector_rules import DETECTOR_RULES
from atlas.schema.exemplar_rules import EXEMPLAR_RULES
from atlas.schema.expert_rules import EXPERT_RULES, NEURONS, PAIRS, PLACES, whole_layers
from atlas.schema.gradient_rules import GRADIENT_RULES
from atlas.schema.graph_rules import GRAPH_RULES
from atlas.schema.interval_rules import INTERVAL_RULES
from atlas.schema.rule import AT_SITE, OF_CONCEPT, OF_FIT, Counted, RowRules, finite, finite_or_null, one_of
from atlas.schema.second_order_rules import SECOND_ORDER_RULES
from atlas.schema.table import FIT, Table
from atlas.schema.tables import TABLES, about
from atlas.schema.weight_rules import WEIGHT_RULES
from atlas.sites import DECODING_MODES, POSITIONS, SITES

_WIDTHS = " ".join(f"WHEN '{site.name}' THEN {site.width}" for site in SITES.values())
# A mean is summed in float64 and rounded to float32: it may leave the extremes by a rounding.
_BETWEEN_EXTREMES = "min <= max AND mean >= min - 1e-3 * abs(min) AND mean <= max + 1e-3 * abs(max)"
_GAUSSIAN = f"{finite('mean', 'std', 'min', 'max', 'mean_abs')} AND std >= 0 AND mean_abs >= 0 AND {_BETWEEN_EXTREMES}"
_SHAPE = f"coalesce(ks BETWEEN 0 AND 1, true) AND {finite_or_null('skewness', 'kurtosis')}"


_OF_EXPERTS = "f.fit_id IN (SELECT fit_id FROM _expert_count)"


def _complete(table: str, due: str) -> str:
    return f"""SELECT count(*) FROM {PLACES}
               LEFT JOIN (SELECT fit_id, count(*) AS rows FROM {table} GROUP BY fit_id) USING (fit_id)
               WHERE {due} IS DISTINCT FROM coalesce(rows, 0)"""


RULES: tuple[RowRules | Counted, ...] = (
    Counted("one atlas row", "SELECT abs(count(*) - 1) FROM atlas"),
    RowRules(
        "atlas",
        {
            "dims are positive": "n_layers > 0 AND d_model > 0 AND d_mlp > 0 AND d_vocab > 0 AND top > 0 AND bins > 0",
            "nid fits into its type": "3 * n_layers::HUGEINT * d_mlp < 2147483648",
            "the decoding mode is known": f"coalesce(decoding_mode IN ({one_of(DECODING_MODES)}), true)",
        },
    ),
    RowRules(
        "vocab, atlas",
        {
            "token ids are in range": "token_id BETWEEN 0 AND d_vocab - 1",
            "token norms are finite": "isfinite(vocab.norm)",
        },
    ),
    Counted(
        "word forms mirror the vocabulary",
        # Both lower-cased here: what lower() makes of a rare letter depends on the version of DuckDB.
        """SELECT count(*) FROM (SELECT token_id, lower(trim(token)) AS due FROM vocab WHERE trim(token) <> '')
           FULL JOIN _token_form USING (token_id) WHERE lower(form) IS DISTINCT FROM lower(due)""",
    ),
    Counted(
        "every weight is decoded for all neurons",
        whole_layers("_decoding", "decode"),
    ),
    RowRules(
        "_decoding",
        {
            "nid matches weight, layer and neuron": "nid = "
            "(enum_code(weight)::BIGINT * {n_layers} + layer) * {width} + neuron",
            "neurons are in range": "layer BETWEEN 0 AND {n_layers} - 1 AND neuron BETWEEN 0 AND {width} - 1",
            "norms are finite": f"{finite('norm', 'raised_lse', 'lowered_lse')} AND norm >= 0",
        },
    ),
    Counted(
        "every weight has vectors for all neurons",
        whole_layers("neuron_vector", "decode"),
    ),
    RowRules(
        "neuron_vector",
        {"vectors are of neurons in range": "layer BETWEEN 0 AND {n_layers} - 1 AND neuron BETWEEN 0 AND {width} - 1"},
    ),
    Counted(
        "a family names a concept once",
        "SELECT count(*) - count(DISTINCT (family, concept)) FROM concept",
    ),
    RowRules("concept", {"concepts have examples": "n_examples > 0"}),
    Counted("fits name their run", "SELECT count(*) FROM fit ANTI JOIN run USING (run_id)"),
    RowRules(
        "fit, atlas",
        {
            "fits are at a known site": f"site IN ({one_of(SITES)})",
            "fits are at a known position": f"position IN ({one_of(POSITIONS)})",
            "fits are as wide as their site": f"width = CASE site {_WIDTHS} END",
            "taus are positive and differ": "len(taus) > 0 AND list_min(taus) > 0 AND isfinite(list_max(taus)) "
            "AND len(list_distinct(taus)) = len(taus)",
        },
    ),
    RowRules(
        "fit LEFT JOIN (SELECT fit_id, sum(n) AS members FROM fit_concept GROUP BY fit_id) USING (fit_id)",
        {"fits count the values of their concepts": "n = members"},
    ),
    RowRules(
        f"fit_concept AS m {OF_FIT} LEFT JOIN concept AS k USING (concept_id)",
        {"concepts of a fit are of its family": "f.family = k.family", "concepts of a fit have values": "m.n > 0"},
    ),
    Counted("texts are of a fit", "SELECT count(*) FROM _fit_example ANTI JOIN fit USING (fit_id)"),
    Counted(
        "every fit has a background",
        "SELECT count(*) FROM fit WHERE NOT EXISTS (FROM _background b WHERE b.fit_id = fit.fit_id) "
        "AND fit_id NOT IN (SELECT fit_id FROM _expert_count)",
    ),
    Counted("every fit has all its neurons", _complete("_background", NEURONS)),
    Counted("every fit has all its concepts at every neuron", _complete("_gaussian", PAIRS)),
    Counted("every Gaussian has a range at every tau", _complete("_range", f"len(taus) * {PAIRS}")),
    Counted("every Gaussian has a histogram", _complete("_histogram", PAIRS)),
    RowRules(
        f"_background AS b {OF_FIT}",
        {
            "backgrounds are of a neuron of their fit": AT_SITE,
            "backgrounds count the values of their fit": f"b.n = f.n OR (b.n BETWEEN 1 AND f.n AND {_OF_EXPERTS})",
            "backgrounds are finite": f"{_GAUSSIAN} AND {_SHAPE}",
        },
    ),
    RowRules(
        f"_gaussian AS g {OF_CONCEPT}",
        {
            "Gaussians are finite": _GAUSSIAN,
            "Gaussians are of a neuron of their fit": AT_SITE,
            "Gaussians count the values of their concept": "CASE WHEN n_all IS NULL THEN g.n = c.n "
            f"ELSE g.n BETWEEN 1 AND c.n AND n_all BETWEEN g.n AND f.n AND {_OF_EXPERTS} END",
            "shapes are finite": f"{_SHAPE} AND {finite_or_null('dprime')} "
            "AND coalesce(overlap BETWEEN 0 AND 1 + 1e-6, true)",
            "AUC is a share": "twice_u BETWEEN 0 AND 2 * c.n::BIGINT * (f.n - c.n)",
        },
    ),
    RowRules(
        f"_range AS r {OF_CONCEPT} "
        "LEFT JOIN fit_concept AS w ON w.fit_id = r.fit_id AND w.concept_id = worst_concept_id",
        {
            "ranges are of a neuron of their fit": AT_SITE,
            "ranges are at a tau of their fit": "list_contains(f.taus, tau)",
            "counts stay within their samples": "inside BETWEEN 0 AND c.n AND others_inside BETWEEN 0 AND f.n - c.n",
            "the worst concept is another one of the fit": "CASE WHEN worst_concept_id IS NULL "
            "THEN worst_inside IS NULL "
            "ELSE w.n > 0 AND worst_concept_id <> r.concept_id "
            "AND worst_inside BETWEEN 0 AND least(coalesce(worst_n, w.n), others_inside) "
            "AND coalesce(worst_n <= w.n, true) END",
        },
    ),
    RowRules(
        f"_histogram AS h {OF_CONCEPT}",
        {
            "histograms are of a neuron of their fit": AT_SITE,
        },
    ),
    *EXPERT_RULES,
    *INTERVAL_RULES,
    *DETECTOR_RULES,
    *WEIGHT_RULES,
    *SECOND_ORDER_RULES,
    *EXEMPLAR_RULES,
    *GRADIENT_RULES,
    *GRAPH_RULES,
    *DESCRIPTION_RULES,
)


def further_rules() -> Iterator[RowRules | Counted]:
    """Rules about the tables about fits that none of RULES names: what their columns and keys promise."""
    named = " ".join(rule.sql if isinstance(rule, Counted) else rule.source for rule in RULES)
    for name in about(FIT):
        table = TABLES[name]
        ruled = re.search(rf"\b{name}\b", named)
        if not ruled:
            yield _of_fits(table)
        if table.complete and (table.later or not ruled):
            yield _complete_or_absent(table)


def _of_fits(table: Table) -> RowRules:
    keys = set(table.key_columns())
    numbers = [f"t.{column.name}" for column in table.values() if column.type in ("FLOAT", "DOUBLE")]
    # As doubles, floats have a sum that does not overflow: it is finite where all of them are.
    numbers += [f"list_sum(t.{column.name}::DOUBLE[])" for column in table.values() if column.type[:6] == "FLOAT["]
    rules = {
        "of a fit": "f.n > 0",
        **({"of a neuron of their fit": AT_SITE} if {"layer", "neuron"} <= keys else {}),
        **({"of a concept of their fit": "c.n > 0"} if "concept_id" in keys else {}),
        **({"at a tau of their fit": "list_contains(f.taus, t.tau)"} if "tau" in keys else {}),
        **({"finite or NULL": finite_or_null(*numbers)} if numbers else {}),
    }
    source = f"{table.name} AS t {OF_CONCEPT if 'concept_id' in keys else OF_FIT}"
    return RowRules(source, {f"rows of {table.name} are {rule}": predicate for rule, predicate in rules.items()})


def _complete_or_absent(table: Table) -> Counted:
    """Of a table that came later, a fit from before has no row at all."""
    keys = set(table.key_columns())
    due = " * ".join([PAIRS if "concept_id" in keys else NEURONS, *["len(taus)"] * ("tau" in keys)])
    return Counted(
        f"fits have all their rows of {table.name}",
        f"""SELECT count(*) FROM {PLACES}
            LEFT JOIN (SELECT fit_id, count(*) AS rows, count(fitted) AS placed FROM {table.name}
                       LEFT JOIN (SELECT DISTINCT fit_id, layer, true AS fitted FROM _background)
                       USING (fit_id, layer) GROUP BY fit_id) USING (fit_id)
            WHERE {"rows IS NOT NULL AND" if table.later else ""}
                  ({due} IS DISTINCT FROM rows OR {due} IS DISTINCT FROM placed)""",
    )
