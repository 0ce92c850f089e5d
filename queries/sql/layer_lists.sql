-- One token list, raised ($sign 1) or lowered (-1), of every neuron of a layer, in one weight or in all.
SELECT CASE WHEN $sign > 0 THEN raised_token ELSE lowered_token END AS tokens
FROM _decoding WHERE layer = $layer AND ($weight IS NULL OR weight = $weight);
