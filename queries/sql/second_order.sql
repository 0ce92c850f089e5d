-- Effects of one neuron through the attention heads of later layers.
SELECT images, mean_norm, largest_norm, used, explained, raised_token, raised_cosine, lowered_token, lowered_cosine
FROM second_order WHERE layer = $layer AND neuron = $neuron;
