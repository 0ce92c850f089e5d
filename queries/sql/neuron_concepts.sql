-- One neuron under every concept of every fit.
SELECT fit_id, concept_id, mean, std, twice_u, dprime, overlap, skewness, kurtosis, min, max, mean_abs, ks
FROM _gaussian WHERE layer = $layer AND neuron = $neuron;
