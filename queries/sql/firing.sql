-- One neuron over all tokens of the running text: a row of the view firing, and of no other neuron's.
SELECT coalesce(routed, s.tokens) AS n, coalesce(routed_sampled, sampled) AS sampled, mean, std, quantiles[1] AS min,
       quantiles[len(quantiles)] AS max, positive / coalesce(routed, s.tokens) AS share_positive,
       beyond / coalesce(routed, s.tokens) AS share_beyond, position_correlation, quantiles::FLOAT[], octave,
       histogram::INTEGER[], list_transform(quadrants::BIGINT[], lambda x: x / coalesce(routed, s.tokens)),
       (SELECT group_id FROM _correlated WHERE site = $site AND layer = $layer AND neuron = $neuron),
       (SELECT nullif(count(*), 0) FROM _correlated WHERE site = $site AND group_id = (
            SELECT group_id FROM _correlated WHERE site = $site AND layer = $layer AND neuron = $neuron))
FROM _firing, _text_set AS s WHERE site = $site AND layer = $layer AND neuron = $neuron
