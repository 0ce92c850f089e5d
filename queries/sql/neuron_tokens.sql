-- The lists of one neuron, every weight.
SELECT weight::VARCHAR, norm, raised_lse, lowered_lse, raised_token, raised_logit, lowered_token, lowered_logit
FROM _decoding WHERE layer = $layer AND neuron = $neuron ORDER BY weight;
