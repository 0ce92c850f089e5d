-- The one-sided interval that best tells a concept from the rest of its fit, for ($layers[i], $neurons[i]):
-- cut at the histogram edge where coverage - leakage (Youden's J) is largest. coverage and leakage are counts
-- of the histogram over the interval, $limit stands for no bound on the other side.
WITH wanted AS (SELECT unnest($layers::INTEGER[]) AS layer, unnest($neurons::INTEGER[]) AS neuron),
bins AS (
    SELECT layer, neuron, bin, lower AS edge,
           coalesce(sum(count) FILTER (concept_id = $concept_id), 0) AS own,
           coalesce(sum(count) FILTER (concept_id <> $concept_id), 0) AS rest
    FROM concept_histogram JOIN wanted USING (layer, neuron)
    WHERE fit_id = $fit_id
    GROUP BY ALL),
above AS (
    SELECT layer, neuron, bin, edge,
           sum(own) OVER (upward ORDER BY bin DESC) / sum(own) OVER upward AS coverage,
           sum(rest) OVER (upward ORDER BY bin DESC) / sum(rest) OVER upward AS leakage
    FROM bins
    WINDOW upward AS (PARTITION BY layer, neuron)),
intervals AS (
    SELECT layer, neuron, edge AS lower, $limit::DOUBLE AS upper, coverage, leakage FROM above WHERE bin > 1
    UNION ALL
    SELECT layer, neuron, -$limit::DOUBLE, edge, 1 - coverage, 1 - leakage FROM above WHERE bin > 1)
SELECT layer, neuron, unnest(max_by({'lower': lower, 'upper': upper, 'coverage': coverage, 'leakage': leakage},
                                   coverage - leakage))
FROM intervals
GROUP BY layer, neuron;
