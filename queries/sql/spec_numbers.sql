-- The numbers of the neurons ($layers[i], $neurons[i]) in one fit: the range of a concept at $tau, means.
-- Without a concept (NULL) only background_mean is known, without a measured $tau leakage is not.
WITH wanted AS (SELECT unnest($layers::INTEGER[]) AS layer, unnest($neurons::INTEGER[]) AS neuron)
SELECT layer, neuron, range_lower(g.mean, g.std, $tau) AS lower, range_upper(g.mean, g.std, $tau) AS upper,
       g.mean AS concept_mean, b.mean AS background_mean,
       rest_mean_of(g.n, g.mean, b.n, b.mean) AS rest_mean, g.auc, r.leakage, r.coverage
FROM wanted
JOIN (SELECT * FROM background_gaussian WHERE fit_id = $fit_id) AS b USING (layer, neuron)
LEFT JOIN (SELECT * FROM concept_gaussian WHERE fit_id = $fit_id AND concept_id = $concept_id) AS g
    USING (layer, neuron)
LEFT JOIN (SELECT * FROM concept_range WHERE fit_id = $fit_id AND concept_id = $concept_id AND tau = $tau) AS r
    USING (layer, neuron);
