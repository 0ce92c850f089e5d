-- The stored nearest neurons of one neuron by one weight.
SELECT same_nid, same_cosine, other_nid, other_cosine FROM _nearest
WHERE weight = $weight AND layer = $layer AND neuron = $neuron;
