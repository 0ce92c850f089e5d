-- Facts of one neuron's weights together.
SELECT io_class, cos_in_out, cos_gate_out, cos_gate_in, null_share, frequency_correlation
FROM _neuron_fact WHERE layer = $layer AND neuron = $neuron;
