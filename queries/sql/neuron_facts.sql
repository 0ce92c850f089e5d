-- Facts of one neuron's weights together, and its redundant group, if it is in one, with how many neurons that has.
SELECT io_class, cos_in_out, cos_gate_out, cos_gate_in, null_share, frequency_correlation,
       (SELECT group_id FROM _redundant WHERE layer = $layer AND neuron = $neuron),
       (SELECT nullif(count(*), 0) FROM _redundant
        WHERE group_id = (SELECT group_id FROM _redundant WHERE layer = $layer AND neuron = $neuron))
FROM _neuron_fact WHERE layer = $layer AND neuron = $neuron;
