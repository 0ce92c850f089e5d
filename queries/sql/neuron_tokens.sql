-- The top tokens of one neuron, every weight and both signs.
SELECT weight, sign, rank, token_id, token, logit, probability, cosine
FROM neuron_tokens($layer, $neuron)
WHERE rank <= $top
ORDER BY weight, sign DESC, rank;
