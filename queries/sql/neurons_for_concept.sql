-- Neurons of one concept of one fit, by a saliency rule: {order_by}. {hits} joins `hit`, and
-- {token_columns} shows it, where tokens are asked. {columns}: the measures. $max_leakage and $min_coverage are about
-- {leakage} and {coverage}, the shares of the kind of range that is shown; $rule_coverage is what the rule asks for.
-- reads and writes are the top tokens of the neuron: what opens it ($read_weight), and what its down_proj
-- raises when the activation moves from the rest towards the concept ($write_weight). NULL weights: none.
WITH hit AS (
    SELECT layer_of(nid) AS layer, neuron_of(nid) AS neuron, count(*) AS token_hits, min(rank) AS token_rank
    FROM _posting WHERE token_id IN (SELECT unnest($ids::INTEGER[])) GROUP BY ALL),
{measured},
ranked AS MATERIALIZED (
    SELECT * FROM measured {hits}
    WHERE ($layer IS NULL OR layer = $layer)
      AND ($io_class IS NULL OR (layer, neuron) IN
           (SELECT (layer, neuron) FROM neuron_fact WHERE io_class = $io_class))
      AND ($max_leakage IS NULL OR {leakage} <= $max_leakage)
      AND ($min_coverage IS NULL OR {coverage} >= $min_coverage)
      AND ($rule_coverage IS NULL OR coverage >= $rule_coverage)
    ORDER BY {order_by}, layer, neuron LIMIT $limit),
slot AS (
    SELECT nid, 'reads' AS side, unnest(range(1, $context + 1)) AS rank,
           unnest(raised_token[:$context]) AS token_id
    FROM _decoding WHERE nid IN (
        SELECT unnest((SELECT list(nid_of($read_weight, layer, neuron)) FROM ranked)))
    UNION ALL
    SELECT nid, 'writes', unnest(range(1, $context + 1)),
           unnest((CASE WHEN mean >= rest_mean THEN raised_token ELSE lowered_token END)[:$context])
    FROM (SELECT * FROM _decoding WHERE nid IN (
        SELECT unnest((SELECT list(nid_of($write_weight, layer, neuron)) FROM ranked))))
    JOIN ranked USING (layer, neuron)),
context AS (
    SELECT layer_of(nid) AS layer, neuron_of(nid) AS neuron,
           list(token ORDER BY rank) FILTER (side = 'reads') AS reads,
           list(token ORDER BY rank) FILTER (side = 'writes') AS writes
    FROM slot JOIN vocab USING (token_id) GROUP BY ALL)
SELECT neuron_name(layer, neuron) AS address, layer, neuron, {columns}, {token_columns}, reads, writes
FROM ranked
LEFT JOIN context USING (layer, neuron)
LEFT JOIN concept AS worst ON worst.concept_id = worst_concept_id
LEFT JOIN fit_concept AS worst_fit ON worst_fit.fit_id = $fit_id AND worst_fit.concept_id = worst_concept_id
LEFT JOIN concept AS held ON held.concept_id = held_worst_concept_id
LEFT JOIN fit_concept AS held_fit ON held_fit.fit_id = $fit_id AND held_fit.concept_id = held_worst_concept_id
ORDER BY {order_by}, layer, neuron;
