-- The fits that measured a neuron, at any site.
SELECT fit_id FROM _background WHERE layer = $layer AND neuron = $neuron;
