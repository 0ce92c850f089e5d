-- One neuron over all tokens of the running text, as it is stored.
SELECT routed, routed_sampled, mean, std, positive, beyond, position_correlation, quantiles::FLOAT[], octave,
       histogram::INTEGER[], quadrants::BIGINT[]
FROM _firing WHERE site = $site AND layer = $layer AND neuron = $neuron
