"""What the product `intervals` promises of its rows."""

from __future__ import annotations

from atlas.schema.rule import AT_SITE, OF_CONCEPT, OF_FIT, Counted, RowRules

INTERVAL_RULES: tuple[RowRules | Counted, ...] = (
    RowRules(
        f"_interval AS i {OF_CONCEPT} "
        "LEFT JOIN fit_concept AS w ON w.fit_id = i.fit_id AND w.concept_id = held_worst_concept_id",
        {
            "intervals are of a neuron of their fit": AT_SITE,
            "intervals begin before they end": "interval_lower <= interval_upper AND NOT isnan(interval_upper)",
            "intervals count within their samples": "least(interval_inside, held_inside) >= 0 "
            "AND greatest(interval_inside, held_inside) <= c.n AND least(interval_others, held_others) >= 0 "
            "AND greatest(interval_others, held_others) <= f.n - c.n",
            "the worst concept of an interval is another one of the fit": "CASE WHEN held_worst_concept_id IS NULL "
            "THEN held_worst_inside IS NULL ELSE w.n > 0 AND held_worst_concept_id <> i.concept_id "
            "AND held_worst_inside BETWEEN 0 AND least(coalesce(held_worst_n, w.n), held_others) END",
            "intervals of experts are of values that were routed there": "CASE WHEN i.n IS NULL THEN n_all IS NULL "
            "ELSE i.n BETWEEN greatest(1, interval_inside, held_inside) AND c.n "
            "AND n_all BETWEEN i.n + greatest(interval_others, held_others) AND f.n END",
            "measures of intervals are shares": " AND ".join(
                f"coalesce({name} BETWEEN 0 AND 1, true)" for name in ("ap", "ap_low", "best_f1", "stratified_auc", "p")
            ),
            "correlations are from -1 to 1": "coalesce(point_biserial BETWEEN -1.000001 AND 1.000001, true)",
        },
    ),
    RowRules(
        f"_interval_fit AS t {OF_FIT}",
        {"intervals say how they were found": "f.n > 0 AND t.folds >= 2 AND t.permutations >= 0 AND t.seed >= 0"},
    ),
    RowRules(
        f"_concept_length AS t {OF_CONCEPT}",
        {
            "lengths are of a concept of their fit": "c.n > 0",
            "lengths are numbers of tokens, and their AUC a share": "mean_tokens >= 0 AND isfinite(mean_tokens) "
            "AND coalesce(length_auc BETWEEN 0 AND 1, true)",
        },
    ),
    RowRules(
        f"_chance AS t {OF_CONCEPT}",
        {
            "luck is of a concept and a layer of its fit": "c.n > 0 AND layer BETWEEN 0 AND {n_layers} - 1",
            "what luck reaches is a share": "auc BETWEEN 0.4999 AND 1 AND t.interval BETWEEN 0 AND 1.0001 "
            "AND len(null_auc) = len(null_interval) AND coalesce(list_min(null_auc) >= 0.4999, true) "
            "AND coalesce(list_max(null_auc) <= 1, true) AND coalesce(list_min(null_interval) >= 0, true) "
            "AND coalesce(list_max(null_interval) <= 1.0001, true)",
        },
    ),
    Counted(
        "every interval has a q, and no other neuron",
        """SELECT count(*) FROM (SELECT fit_id, layer, concept_id, neuron, p FROM _interval) AS i
           FULL JOIN _significance AS s USING (fit_id, layer, concept_id, neuron)
           WHERE (p IS NULL) <> (q IS NULL) OR q < p OR q > 1""",
    ),
    Counted(
        "expected shares are shares, both or none",
        """SELECT count(*) FROM _significance
           WHERE NOT coalesce(expected_coverage BETWEEN 0 AND 1, true)
              OR NOT coalesce(expected_leakage BETWEEN 0 AND 1, true)
              OR (expected_coverage IS NULL) <> (expected_leakage IS NULL)""",
    ),
    Counted(
        "intervals are of a fit that says how they were found",
        "SELECT count(*) FROM (SELECT DISTINCT fit_id FROM _interval) ANTI JOIN _interval_fit USING (fit_id)",
    ),
)
