-- The lists of one neuron, every weight, in no order.
SELECT weight::VARCHAR, norm, raised_lse, lowered_lse, raised_token, raised_logit, lowered_token, lowered_logit
FROM _decoding WHERE layer = $layer AND neuron = $neuron;
