-- Neurons of one concept of one fit, by a saliency rule: {order_by}.
-- reads and writes are the top tokens of the neuron: what opens it ($read_weight), and what its down_proj
-- raises when the activation moves from the rest towards the concept ($write_weight). NULL weights: none.
WITH hit AS (
    SELECT layer_of(nid) AS layer, neuron_of(nid) AS neuron, count(*) AS token_hits, min(rank) AS token_rank
    FROM _posting WHERE token_id IN (SELECT unnest($ids::INTEGER[])) GROUP BY ALL),
g AS (SELECT *, layer * $width + neuron AS spot FROM _gaussian WHERE fit_id = $fit_id AND concept_id = $concept_id),
r AS (SELECT *, layer * $width + neuron AS spot FROM _range
      WHERE fit_id = $fit_id AND concept_id = $concept_id AND tau = $tau),
b AS (SELECT *, layer * $width + neuron AS spot FROM _background WHERE fit_id = $fit_id),
measured AS (
    SELECT g.layer, g.neuron, g.n, g.mean, g.std, g.mean_abs, g.min, g.max, g.dprime, g.overlap,
           (b.n * b.mean::DOUBLE - g.n * g.mean::DOUBLE) / nullif(b.n - g.n, 0) AS rest_mean,
           g.twice_u / nullif(2.0 * g.n * (b.n - g.n), 0) AS auc,
           range_lower(g.mean, g.std, tau) AS lower, range_upper(g.mean, g.std, tau) AS upper,
           inside / g.n AS coverage, others_inside / nullif(b.n - g.n, 0) AS leakage,
           worst_concept_id, worst_inside
    FROM g JOIN r USING (spot) JOIN b USING (spot)),
ranked AS MATERIALIZED (
    SELECT * FROM measured LEFT JOIN hit USING (layer, neuron)
    WHERE ($layer IS NULL OR layer = $layer) AND ($ids IS NULL OR token_hits > 0)
      AND ($max_leakage IS NULL OR leakage <= $max_leakage)
      AND ($min_coverage IS NULL OR coverage >= $min_coverage)
    ORDER BY {order_by}, layer, neuron LIMIT $limit),
slot AS (
    SELECT nid, 'reads' AS side, unnest(range(1, $context + 1)) AS rank,
           unnest(raised_token[:$context]) AS token_id
    FROM _decoding WHERE nid IN (SELECT nid_of($read_weight, layer, neuron) FROM ranked)
    UNION ALL
    SELECT nid, 'writes', unnest(range(1, $context + 1)),
           unnest((CASE WHEN mean >= rest_mean THEN raised_token ELSE lowered_token END)[:$context])
    FROM (SELECT * FROM _decoding WHERE nid IN (SELECT nid_of($write_weight, layer, neuron) FROM ranked))
    JOIN ranked USING (layer, neuron)),
context AS (
    SELECT layer_of(nid) AS layer, neuron_of(nid) AS neuron,
           list(token ORDER BY rank) FILTER (side = 'reads') AS reads,
           list(token ORDER BY rank) FILTER (side = 'writes') AS writes
    FROM slot JOIN vocab USING (token_id) GROUP BY ALL)
SELECT neuron_name(layer, neuron) AS address, layer, neuron, lower, upper, coverage, leakage,
       concept AS worst_concept, worst_inside / w.n AS worst_leakage, auc, dprime, overlap,
       ranked.n, mean, std, rest_mean, mean_abs, min, max, token_hits, token_rank, reads, writes
FROM ranked
LEFT JOIN context USING (layer, neuron)
LEFT JOIN concept ON concept.concept_id = worst_concept_id
LEFT JOIN fit_concept AS w ON w.fit_id = $fit_id AND w.concept_id = worst_concept_id
ORDER BY {order_by}, layer, neuron;
