-- The token that each neuron of a weight raises most: one row per layer, neurons in order.
SELECT layer, list(raised_token[1] ORDER BY neuron) AS tokens
FROM _decoding WHERE weight = $weight GROUP BY layer ORDER BY layer
