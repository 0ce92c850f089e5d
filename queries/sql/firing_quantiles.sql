-- All neurons of a site, in order.
SELECT layer, neuron, mean, std, quantiles FROM _firing WHERE site = $site ORDER BY layer, neuron
