-- The histograms of one neuron under every concept of every fit.
SELECT fit_id, concept_id, counts FROM _histogram WHERE layer = $layer AND neuron = $neuron
