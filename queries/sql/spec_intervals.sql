-- The interval of a concept in one fit for ($layers[i], $neurons[i]), and the held-out shares.
WITH wanted AS (SELECT unnest($layers::INTEGER[]) AS layer, unnest($neurons::INTEGER[]) AS neuron)
SELECT layer, neuron, interval_lower, interval_upper, held_out_coverage, held_out_leakage
FROM concept_interval JOIN wanted USING (layer, neuron)
WHERE fit_id = $fit_id AND concept_id = $concept_id;
