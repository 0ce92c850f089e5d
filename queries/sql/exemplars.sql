-- The exemplars of one neuron at one site, as they are stored, in no order.
SELECT kind, text_id, position, value, scale, windows FROM _exemplar
WHERE site = $site AND layer = $layer AND neuron = $neuron
