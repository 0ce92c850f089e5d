-- The redundant group of one neuron; no row where it is in none.
SELECT group_id FROM _redundant WHERE layer = $layer AND neuron = $neuron;
