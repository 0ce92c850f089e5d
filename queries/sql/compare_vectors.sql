-- The vectors of a weight in one layer, neurons in order.
SELECT vector FROM neuron_vector WHERE weight = $weight AND layer = $layer ORDER BY neuron
