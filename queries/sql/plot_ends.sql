-- The fits that measured a neuron, at any site, and the outer edges of its bins in each, which all concepts share.
SELECT fit_id, min::DOUBLE, max::DOUBLE FROM _background WHERE layer = $layer AND neuron = $neuron
