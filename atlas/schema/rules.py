"""What builders promise of the rows of an atlas, beyond their types: checked before publishing and by `verify`.

A predicate must be true for every row of its source; a count must be 0. {top}, {bins}, {d_model}, {n_layers} and
{width} are the integers of the file (statements.Layout). They use none of the file's own macros and views: those are
what a damaged file may have wrong. What must hold inside lists and between rows and their lists is checked in
`atlas.store.scan`, which reads them anyway.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from atlas.schema.detector_tables import FORMS
from atlas.schema.table import FIT, Table
from atlas.schema.tables import TABLES, about
from atlas.sites import DECODING_MODES, POSITIONS, SITES


@dataclass(frozen=True)
class RowRules:
    """Rules about single rows of `source` (a FROM clause), read once for all: name -> predicate."""

    source: str
    rules: dict[str, str]


@dataclass(frozen=True)
class Counted:
    """A rule over whole tables: `sql` counts what breaks it."""

    name: str
    sql: str


def _one_of(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _finite(*columns: str) -> str:
    return " AND ".join(f"isfinite({column})" for column in columns)


def _finite_or_null(*columns: str) -> str:
    return " AND ".join(f"coalesce(isfinite({column}), true)" for column in columns)


_WIDTHS = " ".join(f"WHEN '{site.name}' THEN {site.width}" for site in SITES.values())
_AT_SITE = "layer BETWEEN 0 AND {n_layers} - 1 AND neuron BETWEEN 0 AND f.width - 1"
_OF_FIT = "LEFT JOIN fit AS f USING (fit_id)"
_OF_CONCEPT = f"{_OF_FIT} LEFT JOIN fit_concept AS c USING (fit_id, concept_id)"
# A mean is summed in float64 and rounded to float32: it may leave the extremes by a rounding.
_BETWEEN_EXTREMES = "min <= max AND mean >= min - 1e-3 * abs(min) AND mean <= max + 1e-3 * abs(max)"
_GAUSSIAN = f"{_finite('mean', 'std', 'min', 'max', 'mean_abs')} AND std >= 0 AND mean_abs >= 0 AND {_BETWEEN_EXTREMES}"
_SHAPE = f"coalesce(ks BETWEEN 0 AND 1, true) AND {_finite_or_null('skewness', 'kurtosis')}"
# Per fit: how many layers it has, times its neurons; for each of its concepts as often.
_PLACES = """fit JOIN (SELECT fit_id, count(DISTINCT layer) AS layers FROM _background GROUP BY fit_id) USING (fit_id)
             JOIN (SELECT fit_id, count(*) AS concepts FROM fit_concept GROUP BY fit_id) USING (fit_id)"""


def _complete(table: str, due: str) -> str:
    return f"""SELECT count(*) FROM {_PLACES}
               LEFT JOIN (SELECT fit_id, count(*) AS rows FROM {table} GROUP BY fit_id) USING (fit_id)
               WHERE {due} IS DISTINCT FROM coalesce(rows, 0)"""


RULES: tuple[RowRules | Counted, ...] = (
    Counted("one atlas row", "SELECT abs(count(*) - 1) FROM atlas"),
    RowRules(
        "atlas",
        {
            "dims are positive": "n_layers > 0 AND d_model > 0 AND d_mlp > 0 AND d_vocab > 0 AND top > 0 AND bins > 0",
            "nid fits into its type": "3 * n_layers::HUGEINT * d_mlp < 2147483648",
            "the decoding mode is known": f"coalesce(decoding_mode IN ({_one_of(DECODING_MODES)}), true)",
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
        """SELECT count(*) FROM (SELECT weight, count(*) AS rows FROM _decoding GROUP BY weight)
           WHERE rows <> {n_layers} * {width}""",
    ),
    RowRules(
        "_decoding",
        {
            "nid matches weight, layer and neuron": "nid = "
            "(enum_code(weight)::BIGINT * {n_layers} + layer) * {width} + neuron",
            "neurons are in range": "layer BETWEEN 0 AND {n_layers} - 1 AND neuron BETWEEN 0 AND {width} - 1",
            "norms are finite": f"{_finite('norm', 'raised_lse', 'lowered_lse')} AND norm >= 0",
        },
    ),
    Counted(
        "every weight has vectors for all neurons",
        """SELECT count(*) FROM (SELECT weight, count(*) AS rows FROM neuron_vector GROUP BY weight)
           WHERE rows <> {n_layers} * {width}""",
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
            "fits are at a known site": f"site IN ({_one_of(SITES)})",
            "fits are at a known position": f"position IN ({_one_of(POSITIONS)})",
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
        f"fit_concept AS m {_OF_FIT} LEFT JOIN concept AS k USING (concept_id)",
        {"concepts of a fit are of its family": "f.family = k.family", "concepts of a fit have values": "m.n > 0"},
    ),
    Counted("texts are of a fit", "SELECT count(*) FROM _fit_example ANTI JOIN fit USING (fit_id)"),
    Counted(
        "every fit has a background",
        "SELECT count(*) FROM fit WHERE NOT EXISTS (FROM _background b WHERE b.fit_id = fit.fit_id)",
    ),
    Counted("every fit has all its neurons", _complete("_background", "layers * width")),
    Counted("every fit has all its concepts at every neuron", _complete("_gaussian", "concepts * layers * width")),
    Counted("every Gaussian has a range at every tau", _complete("_range", "len(taus) * concepts * layers * width")),
    Counted("every Gaussian has a histogram", _complete("_histogram", "concepts * layers * width")),
    RowRules(
        f"_background AS b {_OF_FIT}",
        {
            "backgrounds are of a neuron of their fit": _AT_SITE,
            "backgrounds count the values of their fit": "b.n = f.n",
            "backgrounds are finite": f"{_GAUSSIAN} AND {_SHAPE}",
        },
    ),
    RowRules(
        f"_gaussian AS g {_OF_CONCEPT}",
        {
            "Gaussians are finite": _GAUSSIAN,
            "Gaussians are of a neuron of their fit": _AT_SITE,
            "Gaussians count the values of their concept": "g.n = c.n",
            "shapes are finite": f"{_SHAPE} AND {_finite_or_null('dprime')} "
            "AND coalesce(overlap BETWEEN 0 AND 1 + 1e-6, true)",
            "AUC is a share": "twice_u BETWEEN 0 AND 2 * c.n::BIGINT * (f.n - c.n)",
        },
    ),
    RowRules(
        f"_range AS r {_OF_CONCEPT} "
        "LEFT JOIN fit_concept AS w ON w.fit_id = r.fit_id AND w.concept_id = worst_concept_id",
        {
            "ranges are of a neuron of their fit": _AT_SITE,
            "ranges are at a tau of their fit": "list_contains(f.taus, tau)",
            "counts stay within their samples": "inside BETWEEN 0 AND c.n AND others_inside BETWEEN 0 AND f.n - c.n",
            "the worst concept is another one of the fit": "CASE WHEN worst_concept_id IS NULL "
            "THEN worst_inside IS NULL "
            "ELSE worst_concept_id <> r.concept_id AND worst_inside BETWEEN 0 AND least(w.n, others_inside) END",
        },
    ),
    RowRules(
        f"_histogram AS h {_OF_CONCEPT}",
        {
            "histograms are of a neuron of their fit": _AT_SITE,
        },
    ),
    RowRules(
        f"_interval AS i {_OF_CONCEPT} "
        "LEFT JOIN fit_concept AS w ON w.fit_id = i.fit_id AND w.concept_id = held_worst_concept_id",
        {
            "intervals are of a neuron of their fit": _AT_SITE,
            "intervals begin before they end": "interval_lower <= interval_upper AND NOT isnan(interval_upper)",
            "intervals count within their samples": "least(interval_inside, held_inside) >= 0 "
            "AND greatest(interval_inside, held_inside) <= c.n AND least(interval_others, held_others) >= 0 "
            "AND greatest(interval_others, held_others) <= f.n - c.n",
            "the worst concept of an interval is another one of the fit": "CASE WHEN held_worst_concept_id IS NULL "
            "THEN held_worst_inside IS NULL ELSE held_worst_concept_id <> i.concept_id "
            "AND held_worst_inside BETWEEN 0 AND least(w.n, held_others) END",
            "measures of intervals are shares": " AND ".join(
                f"coalesce({name} BETWEEN 0 AND 1, true)" for name in ("ap", "ap_low", "best_f1", "stratified_auc", "p")
            ),
            "correlations are from -1 to 1": "coalesce(point_biserial BETWEEN -1.000001 AND 1.000001, true)",
        },
    ),
    Counted(
        "every interval has a q, and no other neuron",
        """SELECT count(*) FROM (SELECT fit_id, layer, concept_id, neuron, p FROM _interval) AS i
           FULL JOIN _significance AS s USING (fit_id, layer, concept_id, neuron)
           WHERE (p IS NULL) <> (q IS NULL) OR q < p OR q > 1""",
    ),
    Counted(
        "intervals are of a fit that says how they were found",
        "SELECT count(*) FROM (SELECT DISTINCT fit_id FROM _interval) ANTI JOIN _interval_fit USING (fit_id)",
    ),
    RowRules(
        f"_detector AS d {_OF_CONCEPT}",
        {
            "rules are of a known form": f"form IN ({_one_of(FORMS)})",
            "rules have neurons, and a layer where they have all of it": "neurons BETWEEN 1 AND f.width "
            "AND (form = 'layer') = (layer IS NOT NULL) AND coalesce(layer BETWEEN 0 AND {n_layers} - 1, true)",
            "rules count within their samples": "held_inside BETWEEN 0 AND c.n AND held_others BETWEEN 0 AND f.n - c.n",
            "rules are finite": _finite("bias", "threshold"),
            "figures of rules are shares": " AND ".join(
                f"coalesce({name} BETWEEN 0 AND 1, true)"
                for name in ("auc", "auc_low", "auc_high", "f1_low", "f1_high")
            ),
        },
    ),
    RowRules(
        f"_detector_neuron AS d {_OF_FIT}",
        {
            "neurons of rules are of their fit": _AT_SITE,
            "weights of rules are finite": _finite("weight"),
            "neurons of rules have what their form needs": "CASE form "
            "WHEN 'interval' THEN lower <= upper AND NOT isnan(lower) AND mean IS NULL AND std IS NULL "
            "WHEN 'linear' THEN isfinite(mean) AND std > 0 AND isfinite(std) AND lower IS NULL AND upper IS NULL END",
        },
    ),
    Counted(
        "rules of few neurons have as many as they say, each once",
        """SELECT count(*) FROM (SELECT fit_id, concept_id, form, neurons FROM _detector WHERE form <> 'layer')
           FULL JOIN (SELECT fit_id, concept_id, form, neurons, count(*) AS members, max(place) AS last,
                             count(DISTINCT (layer, neuron)) AS different
                      FROM _detector_neuron GROUP BY ALL) USING (fit_id, concept_id, form, neurons)
           WHERE (members, last, different) IS DISTINCT FROM (neurons, neurons, neurons)""",
    ),
    Counted(
        "rules are of a fit that says how they were found",
        "SELECT count(*) FROM (SELECT DISTINCT fit_id FROM _detector) ANTI JOIN _detector_fit USING (fit_id)",
    ),
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
        **({"of a neuron of their fit": _AT_SITE} if {"layer", "neuron"} <= keys else {}),
        **({"of a concept of their fit": "c.n > 0"} if "concept_id" in keys else {}),
        **({"at a tau of their fit": "list_contains(f.taus, t.tau)"} if "tau" in keys else {}),
        **({"finite or NULL": _finite_or_null(*numbers)} if numbers else {}),
    }
    source = f"{table.name} AS t {_OF_CONCEPT if 'concept_id' in keys else _OF_FIT}"
    return RowRules(source, {f"rows of {table.name} are {rule}": predicate for rule, predicate in rules.items()})


def _complete_or_absent(table: Table) -> Counted:
    """Of a table that came later, a fit from before has no row at all."""
    keys = set(table.key_columns())
    due = " * ".join(
        ["layers", "width", *["concepts"] * ("concept_id" in keys), *["len(taus)"] * ("tau" in keys)],
    )
    return Counted(
        f"fits have all their rows of {table.name}",
        f"""SELECT count(*) FROM {_PLACES}
            LEFT JOIN (SELECT fit_id, count(*) AS rows, count(fitted) AS placed FROM {table.name}
                       LEFT JOIN (SELECT DISTINCT fit_id, layer, true AS fitted FROM _background)
                       USING (fit_id, layer) GROUP BY fit_id) USING (fit_id)
            WHERE {"rows IS NOT NULL AND" if table.later else ""}
                  ({due} IS DISTINCT FROM rows OR {due} IS DISTINCT FROM placed)""",
    )
