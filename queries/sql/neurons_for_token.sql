-- Neurons with any of the tokens $ids among their top tokens, by the sum of squared cosines over all places.
-- Cosines compare across weights and layers, logits do not. IN (SELECT unnest((SELECT list(...)))) where a join would
-- do: it makes the few rows of this question, not the table of all vectors, the side that is hashed. weighing: how
-- much each token counts, 1 or its distinctiveness.
WITH weighing AS ({weighing}),
asked AS (SELECT token_id, token, norm, weighed FROM vocab JOIN weighing USING (token_id)
          WHERE token_id IN (SELECT unnest($ids::INTEGER[]))),
hit AS MATERIALIZED (
    SELECT nid, layer_of(nid) AS layer, neuron_of(nid) AS neuron, sign, token_id, rank, logit::DOUBLE AS logit
    FROM _posting
    WHERE token_id IN (SELECT unnest($ids::INTEGER[]))
      AND ($sign = 0 OR sign = $sign)
      AND ($layer IS NULL OR layer_of(nid) = $layer)
      AND ($weight IS NULL OR weight_of(nid) = $weight)),
vector AS MATERIALIZED (
    SELECT nid, layer, neuron, sum(weighed * pow(logit / nullif(norm, 0), 2)) AS squares
    FROM hit JOIN asked USING (token_id) GROUP BY ALL),
length AS (
    SELECT nid, norm::DOUBLE AS norm FROM _decoding
    WHERE nid IN (SELECT unnest((SELECT list(nid) FROM vector)))),
scored AS MATERIALIZED (
    SELECT layer, neuron, sum(squares / nullif(norm * norm, 0))::FLOAT AS score
    FROM vector JOIN length USING (nid) GROUP BY ALL
    ORDER BY score DESC NULLS LAST, layer, neuron LIMIT $limit),
place AS (
    SELECT hit.*, score, token, logit / nullif(length.norm * asked.norm, 0) AS cosine
    FROM hit JOIN scored USING (layer, neuron) JOIN asked USING (token_id) JOIN length USING (nid)),
best AS MATERIALIZED (
    SELECT *, count(*) OVER neurons AS hits, count(DISTINCT token_id) OVER neurons AS forms
    FROM place WINDOW neurons AS (PARTITION BY layer, neuron)
    QUALIFY row_number() OVER (PARTITION BY layer, neuron
                               ORDER BY rank, abs(cosine) DESC, nid, sign DESC, token_id) = 1),
card AS (
    SELECT best.*, weight, CASE WHEN sign > 0 THEN raised_lse ELSE lowered_lse END AS lse,
           (CASE WHEN sign > 0 THEN raised_token ELSE lowered_token END)[:$context] AS top_ids
    FROM best JOIN (SELECT * FROM _decoding WHERE nid IN (SELECT unnest((SELECT list(nid) FROM best)))) USING (nid)),
context AS (
    SELECT layer, neuron, list(vocab.token ORDER BY slot) AS tokens
    FROM (SELECT layer, neuron, unnest(top_ids) AS token_id, unnest(range($context)) AS slot FROM card)
    JOIN vocab USING (token_id) GROUP BY ALL)
SELECT neuron_name(layer, neuron) AS address, layer, neuron, score, hits, forms, weight, sign, rank, token,
       logit, exp(sign * logit - lse) AS probability, cosine, tokens
FROM card JOIN context USING (layer, neuron)
ORDER BY score DESC NULLS LAST, layer, neuron;
