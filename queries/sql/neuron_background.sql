-- One neuron over all examples of every fit.
SELECT fit_id, n, mean, std, skewness, kurtosis, min, max, mean_abs, ks
FROM _background WHERE layer = $layer AND neuron = $neuron;
