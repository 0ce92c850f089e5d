-- Vectors of one weight whose float32 cosine to $query is within $margin of the $limit-th largest. Where float32
-- gives no cosine, float64 may: those count as candidates. {d_model} floats.
WITH near AS MATERIALIZED (
    SELECT layer, neuron, array_cosine_similarity(vector, $query::FLOAT[{d_model}]) AS cosine
    FROM neuron_vector WHERE weight = $weight AND NOT (layer = $layer AND neuron = $neuron)),
least AS (SELECT min(cosine) AS cosine FROM (
    SELECT cosine FROM near WHERE isfinite(cosine) ORDER BY cosine DESC LIMIT $limit))
SELECT layer, neuron, vector FROM neuron_vector
JOIN (SELECT layer, neuron FROM near LEFT JOIN least ON true
      WHERE NOT isfinite(near.cosine) OR near.cosine >= least.cosine - $margin) USING (layer, neuron)
WHERE weight = $weight;
