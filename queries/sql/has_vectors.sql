-- Whether the atlas has the vectors of a weight.
SELECT count(*) > 0 FROM (SELECT 1 FROM neuron_vector WHERE weight = $weight LIMIT 1);
