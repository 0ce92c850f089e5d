-- The intervals of one concept that tell it at least so well on texts that they were not found on.
SELECT layer, neuron, interval_lower AS lower, interval_upper AS upper FROM concept_interval
WHERE fit_id = $fit_id AND concept_id = $concept_id AND held_out_coverage - held_out_leakage >= $least
