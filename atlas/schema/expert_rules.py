"""What builds promise of mixtures of experts: which neurons there are, and which of them have statistics."""

from __future__ import annotations

from atlas.schema.expert_tables import KINDS
from atlas.schema.rule import OF_CONCEPT, Counted, RowRules, one_of

# Per fit: how many neurons have statistics, and how many pairs of a neuron and a concept.
PLACES = """fit JOIN (SELECT fit_id, count(DISTINCT layer) AS layers FROM _background GROUP BY fit_id) USING (fit_id)
            JOIN (SELECT fit_id, count(*) AS concepts FROM fit_concept GROUP BY fit_id) USING (fit_id)
            LEFT JOIN (SELECT fit_id, sum(neurons) FILTER (first) AS of_experts, sum(neurons) AS with_concepts
                       FROM (SELECT fit_id, neurons, row_number() OVER (PARTITION BY fit_id, layer, expert) = 1 AS first
                             FROM _expert_count JOIN expert USING (layer, expert) WHERE fitted)
                       GROUP BY fit_id) USING (fit_id)"""
NEURONS, PAIRS = "coalesce(of_experts, layers * width)", "coalesce(with_concepts, concepts * layers * width)"


def whole_layers(table: str, *builders: str, of: str = "weight, ") -> str:
    """Counts layers of `table` that lack neurons, and weights that lack layers though no run of `builders` is of some.

    `of`: what a layer's rows are of, beside it.
    """
    of_some = f"FROM run WHERE builder IN ({one_of(builders)}) AND contains(parameters, '\"layers\": [')"
    return f"""WITH held AS (SELECT {of}layer, count(*) AS rows FROM {table} GROUP BY ALL)
               SELECT (SELECT count(*) FROM held
                       LEFT JOIN (SELECT layer, sum(neurons) AS due FROM expert GROUP BY layer) USING (layer)
                       WHERE rows <> coalesce(due, {{width}}))
                    + (SELECT count(*) FROM (SELECT {of}count(*) AS layers FROM held GROUP BY ALL)
                       WHERE layers NOT IN (0, {{n_layers}}) AND NOT EXISTS ({of_some}))"""


def _beyond(table: str) -> str:
    """Rows about neurons that their layer does not have."""
    return f"""SELECT count(*) FROM {table} AS t
               JOIN (SELECT layer, sum(neurons) AS due FROM expert GROUP BY layer) USING (layer)
               {"JOIN fit USING (fit_id)" if table != "_decoding" else ""}
               WHERE neuron >= due {"AND site <> 'resid_post'" if table != "_decoding" else ""}"""


EXPERT_RULES: tuple[RowRules | Counted, ...] = (
    RowRules(
        "expert",
        {
            "experts are of a layer and have neurons": "layer BETWEEN 0 AND {n_layers} - 1 AND expert >= 0 "
            "AND neurons > 0 AND first_neuron BETWEEN 0 AND {width} - neurons",
            "experts are of a known kind": f"kind IN ({one_of(KINDS)})",
        },
    ),
    Counted(
        "the neurons of experts follow each other, in every layer or none",
        """SELECT count(*) FILTER (first_neuron <> due) + (count(DISTINCT layer) NOT IN (0, {n_layers}))::INTEGER
           FROM (SELECT layer, first_neuron, coalesce(sum(neurons) OVER (PARTITION BY layer ORDER BY expert
                 ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS due FROM expert)""",
    ),
    Counted("decodings are of a neuron of their layer", _beyond("_decoding")),
    Counted("statistics are of a neuron of their layer", _beyond("_background")),
    RowRules(
        f"_expert_count AS t {OF_CONCEPT} LEFT JOIN expert AS x USING (layer, expert)",
        {
            "what was routed is of an expert and a concept of the fit": "c.n > 0 AND x.neurons > 0",
            "what was routed is part of what there is": "t.n BETWEEN 0 AND c.n AND texts BETWEEN 0 AND texts_all "
            "AND tokens BETWEEN texts AND tokens_all",
            "AUCs of routers are shares": "coalesce(router_auc BETWEEN 0 AND 1, true)",
        },
    ),
    Counted(
        "neurons of experts count what was routed there",
        """SELECT count(*) FROM _gaussian AS g
           JOIN expert AS x ON x.layer = g.layer
               AND g.neuron BETWEEN x.first_neuron AND x.first_neuron + x.neurons - 1
           JOIN _expert_count AS e ON e.fit_id = g.fit_id AND e.layer = g.layer AND e.expert = x.expert
               AND e.concept_id = g.concept_id
           WHERE NOT (fitted AND g.n = e.n)""",
    ),
    Counted(
        "Gaussians of a neuron are of as many values as its background",
        """SELECT count(*) FROM (SELECT fit_id, layer, neuron, sum(n) AS n, any_value(n_all) AS n_all FROM _gaussian
                                 WHERE n_all IS NOT NULL GROUP BY ALL)
           JOIN (SELECT fit_id, layer, neuron, n AS due FROM _background) USING (fit_id, layer, neuron)
           WHERE n <> due OR n_all <> due""",
    ),
)
