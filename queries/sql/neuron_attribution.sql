-- What one neuron does for the logit of each concept's token, in every fit with gradients.
SELECT g.fit_id, g.concept_id, token, texts, gradient, gradient_std, attribution, attribution_std
FROM _gradient AS g JOIN _gradient_target AS t ON t.fit_id = g.fit_id AND t.concept_id = g.concept_id
JOIN vocab AS v ON v.token_id = t.token_id WHERE g.layer = $layer AND g.neuron = $neuron;
