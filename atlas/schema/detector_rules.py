"""What the product `detectors` promises of its rows."""

from __future__ import annotations

from atlas.schema.detector_tables import FORMS
from atlas.schema.rule import AT_SITE, OF_CONCEPT, OF_FIT, Counted, RowRules, finite, one_of

DETECTOR_RULES: tuple[RowRules | Counted, ...] = (
    RowRules(
        f"_detector AS d {OF_CONCEPT}",
        {
            "rules are of a known form": f"form IN ({one_of(FORMS)})",
            "rules have neurons, and a layer where they have all of it": "neurons BETWEEN 1 AND f.width "
            "AND (form = 'layer') = (layer IS NOT NULL) AND coalesce(layer BETWEEN 0 AND {n_layers} - 1, true)",
            "rules count within their samples": "held_inside BETWEEN 0 AND c.n AND held_others BETWEEN 0 AND f.n - c.n",
            "rules are finite": finite("bias", "threshold"),
            "figures of rules are shares": " AND ".join(
                f"coalesce({name} BETWEEN 0 AND 1, true)"
                for name in ("auc", "auc_low", "auc_high", "f1_low", "f1_high")
            ),
        },
    ),
    RowRules(
        f"_detector_neuron AS d {OF_FIT}",
        {
            "neurons of rules are of their fit": AT_SITE,
            "weights of rules are finite": finite("weight"),
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
