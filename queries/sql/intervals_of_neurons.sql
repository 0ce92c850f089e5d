-- The intervals of the neurons ($layers, $neurons) in the fits $fits that tell their concept at least so well on texts
-- that they were not found on, best first.
SELECT site, layer, neuron, family, concept, interval_lower, interval_upper,
       held_out_coverage - held_out_leakage AS youden_j
FROM concept_interval
SEMI JOIN (SELECT unnest($layers::INTEGER[]) AS layer, unnest($neurons::INTEGER[]) AS neuron) USING (layer, neuron)
WHERE fit_id IN (SELECT unnest($fits::INTEGER[])) AND youden_j >= $least
ORDER BY youden_j DESC, family, concept
