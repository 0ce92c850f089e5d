-- What was counted in the ranges of one neuron, of every fit, concept and half-width.
SELECT fit_id, concept_id, tau, inside, others_inside, worst_concept_id, worst_inside
FROM _range WHERE layer = $layer AND neuron = $neuron;
