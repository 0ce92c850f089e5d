-- All neurons of a site, in order, and over how many tokens of all and of the sampled ones.
SELECT layer, neuron, mean, std, quantiles, coalesce(routed, tokens) AS n, coalesce(routed_sampled, sampled) AS sampled
FROM _firing, _text_set WHERE site = $site ORDER BY layer, neuron
