-- Neurons with any of the tokens $ids among their top tokens, by the sum of squared cosines over all places.
-- The norms join before ranking: cosines compare across weights and layers, logits do not.
WITH hit AS (
    SELECT layer_of(nid) AS layer, neuron_of(nid) AS neuron, nid, sign, token_id, rank, logit,
           logit::DOUBLE / nullif(d.norm * vocab.norm, 0) AS cosine
    FROM _posting JOIN _decoding AS d USING (nid) JOIN vocab USING (token_id)
    WHERE token_id IN (SELECT unnest($ids::INTEGER[]))
      AND ($sign = 0 OR sign = $sign)
      AND ($layer IS NULL OR layer_of(nid) = $layer)
      AND ($weight IS NULL OR weight_of(nid) = $weight)),
scored AS (
    SELECT layer, neuron, sum(cosine * cosine) AS score, count(*) AS hits, count(DISTINCT token_id) AS forms,
           first(struct_pack(nid, sign, token_id, rank, logit, cosine)
                 ORDER BY rank, abs(cosine) DESC, nid, sign DESC, token_id) AS best
    FROM hit GROUP BY ALL
    ORDER BY score DESC NULLS LAST, layer, neuron LIMIT $limit),
placed AS (
    SELECT scored.*, unnest(best), weight,
           CASE WHEN best.sign > 0 THEN raised_lse ELSE lowered_lse END AS lse,
           (CASE WHEN best.sign > 0 THEN raised_token ELSE lowered_token END)[:$context] AS top_ids
    FROM scored JOIN _decoding ON _decoding.nid = best.nid),
context AS (
    SELECT layer, neuron, list(token ORDER BY place) AS tokens
    FROM (SELECT layer, neuron, unnest(top_ids) AS token_id, unnest(range($context)) AS place FROM placed)
    JOIN vocab USING (token_id) GROUP BY ALL)
SELECT neuron_name(layer, neuron) AS address, layer, neuron, score, hits, forms, weight, sign, rank, token,
       logit, exp(sign * logit::DOUBLE - lse) AS probability, cosine, tokens
FROM placed JOIN vocab USING (token_id) JOIN context USING (layer, neuron)
ORDER BY score DESC NULLS LAST, layer, neuron;
