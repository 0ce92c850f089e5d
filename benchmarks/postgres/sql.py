"""The questions in the rival's SQL: the same columns as the atlas's answers, ties broken alike.

Statements are prepared, parameters are named as psycopg wants them; {spots} is n_layers * d_mlp, {width} d_mlp. A
question takes the round trips that its owner would take: names to ids first, so that the planner sees how many rows
they mean.
"""

from __future__ import annotations

_ADDRESS = (
    "'L' || spot / {width} || 'N' || mod(spot, {width}) AS address, spot / {width} AS layer, "
    "mod(spot, {width}) AS neuron"
)
_NIDS = "ARRAY[spot, {spots} + spot, 2 * {spots} + spot]"
_WEIGHT = "(ARRAY['up_proj', 'gate_proj', 'down_proj'])[nid / {spots} + 1] AS weight"

IDS_BY_TEXT = "SELECT array_agg(token_id) FROM token WHERE token = ANY(%(texts)s::text[])"
IDS_BY_FORM = "SELECT array_agg(DISTINCT token_id) FROM token_form WHERE form = ANY(%(texts)s::text[])"
FIT_OF_CONCEPT = """
SELECT f.fit_id AS fit, c.concept_id AS concept
FROM concept AS c JOIN fit_concept USING (concept_id) JOIN fit AS f USING (fit_id)
WHERE concept = %(concept)s AND family = %(family)s"""

# Parameters: ids, limit. The places of the few winners are looked up by neuron: cheaper than keeping all rows.
NEURONS_FOR_TOKEN = f"""
WITH scored AS MATERIALIZED (
    SELECT mod(nid, {{spots}}) AS spot, sum(power(logit / nullif(d.norm::float8 * t.norm, 0), 2))::float4 AS score
    FROM decoding AS d JOIN token AS t USING (token_id)
    WHERE d.token_id = ANY(%(ids)s::int4[]) AND t.token_id = ANY(%(ids)s::int4[])
    GROUP BY 1 ORDER BY 2 DESC NULLS LAST, 1 LIMIT %(limit)s::int4),
place AS MATERIALIZED (
    SELECT d.*, spot, score, token, logit / nullif(d.norm::float8 * t.norm, 0) AS cosine
    FROM scored JOIN decoding AS d ON d.nid = ANY({_NIDS}) JOIN token AS t USING (token_id)
    WHERE d.token_id = ANY(%(ids)s::int4[])),
best AS (
    SELECT DISTINCT ON (spot) * FROM place ORDER BY spot, rank, abs(cosine) DESC, nid, sign DESC, token_id),
counted AS (SELECT spot, count(*) AS hits, count(DISTINCT token_id) AS forms FROM place GROUP BY spot)
SELECT {_ADDRESS}, score, hits, forms, {_WEIGHT}, sign, rank, token, logit,
       exp(sign * logit::float8 - CASE WHEN sign > 0 THEN raised_lse ELSE lowered_lse END) AS probability, cosine,
       (SELECT array_agg(t.token ORDER BY d.rank) FROM decoding AS d JOIN token AS t USING (token_id)
        WHERE d.nid = best.nid AND d.sign = best.sign AND d.rank <= 4) AS tokens
FROM best JOIN counted USING (spot) JOIN neuron USING (nid) ORDER BY score DESC NULLS LAST, spot"""

_RANGED = """lower, upper, inside::float8 / n AS coverage, others_inside::float8 / nullif(fit_n - n, 0) AS leakage,
       (SELECT concept FROM concept AS c WHERE c.concept_id = worst_concept_id) AS worst_concept,
       worst_inside::float8 / (SELECT n FROM fit_concept AS w WHERE w.fit_id = ranked.fit_id
                               AND w.concept_id = worst_concept_id) AS worst_leakage"""
_BOUNDS = """(mean::float8 - tau::float8 * std)::float4 AS lower, (mean::float8 + tau::float8 * std)::float4 AS upper"""
_READS = """(SELECT array_agg(t.token ORDER BY d.rank) FROM decoding AS d JOIN token AS t USING (token_id)
        WHERE d.nid = {spots} + spot AND d.sign = 1 AND d.rank <= 4) AS reads,
       (SELECT array_agg(t.token ORDER BY d.rank) FROM decoding AS d JOIN token AS t USING (token_id)
        WHERE d.nid = 2 * {spots} + spot AND d.sign = CASE WHEN mean >= rest_mean THEN 1 ELSE -1 END AND d.rank <= 4)
           AS writes"""
_CONCEPT_COLUMNS = f"""{_ADDRESS}, {_RANGED}, auc, dprime, overlap, n, mean, std, rest_mean, mean_abs, min, max,
       {_READS}"""

_BY_AUC = "abs(auc - 0.5) DESC NULLS LAST, spot"
_RANKED = f"""SELECT gaussian.*, {_BOUNDS}, (SELECT n FROM fit WHERE fit.fit_id = gaussian.fit_id) AS fit_n
    FROM gaussian WHERE fit_id = %(fit)s::int2 AND concept_id = %(concept)s::int2"""

# Parameters: fit, concept, limit.
NEURONS_FOR_CONCEPT = f"""
WITH ranked AS ({_RANKED} ORDER BY {_BY_AUC} LIMIT %(limit)s::int4)
SELECT {_CONCEPT_COLUMNS} FROM ranked ORDER BY {_BY_AUC}"""

# Parameters: ids, fit, concept, limit. The concept's index is walked in order, and each neuron looked for in a hash
# of those that hold a token. CASE keeps the planner from a join, which would fetch every row of the concept.
NEURONS_FOR_BOTH = f"""
WITH hit AS MATERIALIZED (
    SELECT mod(nid, {{spots}}) AS spot, rank FROM decoding WHERE token_id = ANY(%(ids)s::int4[])),
ranked AS MATERIALIZED (
    {_RANKED} AND CASE WHEN spot IN (SELECT spot FROM hit) THEN true END ORDER BY {_BY_AUC} LIMIT %(limit)s::int4),
counted AS (
    SELECT spot, count(*) AS token_hits, min(rank) AS token_rank FROM hit
    WHERE spot IN (SELECT spot FROM ranked) GROUP BY spot)
SELECT {_CONCEPT_COLUMNS}, token_hits, token_rank FROM ranked JOIN counted USING (spot) ORDER BY {_BY_AUC}"""

# The same without collecting the neurons of the tokens first: each neuron's own rows are searched, until there are
# enough. Fast where a good part of all neurons holds one of the tokens, a walk through every neuron for rare ones.
NEURONS_FOR_BOTH_BY_WALK = f"""
WITH ranked AS MATERIALIZED (
    {_RANKED} AND EXISTS (SELECT FROM decoding WHERE nid = ANY({_NIDS}) AND token_id = ANY(%(ids)s::int4[]))
    ORDER BY {_BY_AUC} LIMIT %(limit)s::int4)
SELECT {_CONCEPT_COLUMNS}, token_hits, token_rank
FROM ranked CROSS JOIN LATERAL (
    SELECT count(*) AS token_hits, min(rank) AS token_rank FROM decoding
    WHERE nid = ANY({_NIDS}) AND token_id = ANY(%(ids)s::int4[])) AS counted
ORDER BY {_BY_AUC}"""

# Parameters: nids (of a neuron in its weights), top.
CARD_TOKENS = f"""
SELECT {_WEIGHT}, sign, rank, token_id, token, logit, exp(sign * logit::float8 - CASE WHEN sign > 0 THEN raised_lse
       ELSE lowered_lse END) AS probability, logit / nullif(d.norm * t.norm, 0) AS cosine
FROM decoding AS d JOIN neuron AS n USING (nid) JOIN token AS t USING (token_id)
WHERE nid = ANY(%(nids)s::int4[]) AND rank <= %(top)s::int2 ORDER BY nid, sign DESC, rank"""

# Parameter: spot.
CARD_CONCEPTS = f"""
SELECT family, concept.concept, site, position, mean, std, tau, {_RANGED}, auc, dprime, overlap, skewness, kurtosis,
       min, max, mean_abs, ks, ranked.n
FROM (SELECT g.*, {_BOUNDS}, fit.n AS fit_n, family, site, position
      FROM gaussian AS g JOIN fit USING (fit_id) WHERE spot = %(spot)s::int4 AND site <> 'resid_post') AS ranked
JOIN concept USING (concept_id)
ORDER BY abs(auc - 0.5) DESC NULLS LAST, family, concept.concept, site, position, fit_id"""

# Parameter: spot.
CARD_BACKGROUND = """
SELECT family, site, position, b.n, mean, std, skewness, kurtosis, min, max, mean_abs, ks
FROM background AS b JOIN fit USING (fit_id) WHERE spot = %(spot)s::int4 AND site <> 'resid_post'
ORDER BY family, site, position, fit_id"""

# Parameters: up, gate, down (nid of the layer's first neuron in each weight), limit.
LAYER_SUMMARY = """
SELECT token_id, token, places FROM (
    SELECT token_id, count(*) AS places FROM decoding
    WHERE sign = 1 AND (nid BETWEEN %(up)s::int4 AND %(up)s::int4 + {width} - 1
                        OR nid BETWEEN %(gate)s::int4 AND %(gate)s::int4 + {width} - 1
                        OR nid BETWEEN %(down)s::int4 AND %(down)s::int4 + {width} - 1)
    GROUP BY token_id ORDER BY places DESC, token_id LIMIT %(limit)s::int4) AS top
JOIN token USING (token_id) ORDER BY places DESC, token_id"""
