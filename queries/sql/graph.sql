-- The pattern graph of one neuron.
SELECT sign, largest, exemplars, held_exemplars, held_random, held_found, held_wrong, held_missed, held_tokens,
       train_found, train_wrong, train_missed, train_tokens, token, parent, value, n
FROM _graph WHERE site = $site AND layer = $layer AND neuron = $neuron
