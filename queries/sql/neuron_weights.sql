-- Facts of each vector of one neuron, in no order.
SELECT weight::VARCHAR, norm, cosine_mean, cosine_std, cosine_skewness, cosine_kurtosis
FROM _weight_fact WHERE layer = $layer AND neuron = $neuron;
