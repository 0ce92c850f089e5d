-- Every expert of a mixture of experts, in the order of the neurons.
SELECT layer, expert, first_neuron, neurons, kind FROM expert ORDER BY layer, expert;
