-- The neurons of one rule, in the order in which they were chosen.
SELECT layer, neuron, weight, lower, upper, mean, std FROM _detector_neuron
WHERE fit_id = $fit_id AND concept_id = $concept_id AND form = $form AND neurons = $neurons ORDER BY place
