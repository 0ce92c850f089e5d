-- The vectors of one weight, of one layer or (NULL) of all.
SELECT layer, neuron, vector FROM neuron_vector
WHERE weight = $weight AND ($layer IS NULL OR layer = $layer) AND ($neuron IS NULL OR neuron = $neuron);
