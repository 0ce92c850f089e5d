-- How one neuron goes with the length of the prompts, in every fit with intervals.
SELECT fit_id, length_correlation FROM _length WHERE layer = $layer AND neuron = $neuron;
