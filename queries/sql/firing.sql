-- One neuron over all tokens of the running text.
SELECT n, sampled, mean, std, min, max, share_positive, share_beyond, position_correlation, quantiles, octave, histogram,
       quadrants, correlated_group, correlated_neurons
FROM firing WHERE site = $site AND layer = $layer AND neuron = $neuron
