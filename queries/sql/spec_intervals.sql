-- The interval of a concept in one fit for ($layers[i], $neurons[i]), the held-out shares, and those to expect.
WITH wanted AS (SELECT unnest($layers::INTEGER[]) AS layer, unnest($neurons::INTEGER[]) AS neuron)
SELECT layer, neuron, interval_lower, interval_upper, held_out_coverage, held_out_leakage, expected_coverage,
       expected_leakage
FROM concept_interval JOIN wanted USING (layer, neuron)
WHERE fit_id = $fit_id AND concept_id = $concept_id;
