-- Neurons by the words of a query: $ids are tokens, $words the word that each is a form of. A word counts the more
-- the fewer neurons have it (idf, the natural logarithm of all neurons over those); of each place the squared cosine.
-- As in neurons_for_token.sql, lists make the few rows of this question the side that is hashed.
WITH asked AS (SELECT unnest($ids::INTEGER[]) AS token_id, unnest($words::VARCHAR[]) AS word),
known AS (SELECT word, token_id, norm FROM asked JOIN vocab USING (token_id)),
hit AS MATERIALIZED (
    SELECT nid, layer_of(nid) AS layer, neuron_of(nid) AS neuron, weight_of(nid) = 'down_proj' AS written,
           sign, token_id, rank, logit::DOUBLE AS logit
    FROM _posting
    WHERE token_id IN (SELECT unnest($ids::INTEGER[]))
      AND ($side IS NULL OR (weight_of(nid) = 'down_proj') = ($side = 'output'))),
length AS (
    SELECT nid, norm::DOUBLE AS norm FROM _decoding
    WHERE nid IN (SELECT unnest((SELECT list(DISTINCT nid) FROM hit)))),
place AS MATERIALIZED (
    SELECT hit.*, word, pow(logit / nullif(length.norm * known.norm, 0), 2) AS square
    FROM hit JOIN known USING (token_id) JOIN length USING (nid)),
rarity AS (
    SELECT word, ln($neurons / count(DISTINCT (layer, neuron))::DOUBLE) AS idf FROM place GROUP BY word),
scored AS (
    SELECT layer, neuron, sum(idf * square)::FLOAT AS score, list(DISTINCT word ORDER BY word) AS words
    FROM place JOIN rarity USING (word) GROUP BY ALL
    ORDER BY score DESC NULLS LAST, layer, neuron LIMIT $limit)
SELECT DISTINCT ON (layer, neuron)
       layer, neuron, CASE WHEN written THEN 'output' ELSE 'input' END AS side, sign, score, words, nid
FROM place JOIN scored USING (layer, neuron)
ORDER BY layer, neuron, square DESC NULLS LAST, nid, sign DESC, rank;
