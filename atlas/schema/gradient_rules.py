"""What the product `gradients` promises of its rows."""

from __future__ import annotations

from atlas.schema.gradient_tables import EDITS, RULES
from atlas.schema.rule import AT_SITE, OF_CONCEPT, OF_FIT, Counted, RowRules, finite, one_of

_NUMBERS = ("activation", "gradient", "gradient_attribution", "relp", "relp_attribution", *EDITS)

GRADIENT_RULES: tuple[RowRules | Counted, ...] = (
    RowRules(
        f"_gradient AS g {OF_CONCEPT}",
        {
            "gradients are of a neuron of their fit": AT_SITE,
            "gradients are of a concept of their fit": "c.n > 0",
            "gradients are finite": f"{finite('gradient', 'gradient_std', 'attribution', 'attribution_std')} "
            "AND least(gradient_std, attribution_std) >= 0",
        },
    ),
    RowRules(
        f"_gradient_target AS t {OF_CONCEPT} LEFT JOIN vocab AS v USING (token_id)",
        {"targets are tokens, of a concept of their fit": "c.n > 0 AND v.token IS NOT NULL AND t.texts > 0"},
    ),
    RowRules(
        f"_gradient_sample AS s {OF_CONCEPT}",
        {
            "edited neurons are of their fit": f"{AT_SITE} AND c.n > 0",
            "what was edited has numbers": finite(*_NUMBERS),
        },
    ),
    RowRules(
        f"_gradient_check AS k {OF_FIT}",
        {
            "checks of gradients are correlations": f"f.n > 0 AND k.n > 0 AND rule IN ({one_of(RULES)}) "
            f"AND edit IN ({one_of(EDITS)}) AND coalesce(abs(pearson) <= 1.000001, true) "
            "AND coalesce(abs(spearman) <= 1.000001, true)",
        },
    ),
    Counted(
        "gradients are of a fit that says how they were taken",
        "SELECT count(*) FROM (SELECT fit_id FROM _gradient UNION SELECT fit_id FROM _gradient_target "
        "UNION SELECT fit_id FROM _gradient_sample UNION SELECT fit_id FROM _gradient_check) "
        "ANTI JOIN _gradient_fit USING (fit_id)",
    ),
    Counted(
        "gradients are of concepts with a target",
        "SELECT count(*) FROM (SELECT DISTINCT fit_id, concept_id FROM _gradient) "
        "ANTI JOIN _gradient_target USING (fit_id, concept_id)",
    ),
)
