-- One neuron of one fit under every concept: Gaussian, range at $tau (NULL: none), interval with its held-out shares and
-- those to expect, histogram. first and last are the outer edges of the bins, which all concepts share.
SELECT c.concept, g.n, g.mean, g.std, range_lower(g.mean, g.std, tau) AS lower,
       range_upper(g.mean, g.std, tau) AS upper, coverage_of(inside, g.n) AS coverage,
       leakage_of(others_inside, g.n, b.n) AS leakage, auc_of(twice_u, g.n, b.n) AS auc,
       interval_lower, interval_upper, coverage_of(held_inside, g.n) AS interval_coverage,
       leakage_of(held_others, g.n, b.n) AS interval_leakage, expected_coverage, expected_leakage, counts::INTEGER[] AS counts,
       b.min::DOUBLE AS first, b.max::DOUBLE AS last
FROM _gaussian AS g
JOIN _background AS b USING (fit_id, layer, neuron)
JOIN concept AS c USING (concept_id)
LEFT JOIN _histogram AS h USING (fit_id, concept_id, layer, neuron)
LEFT JOIN _range AS r ON r.fit_id = g.fit_id AND r.concept_id = g.concept_id AND r.layer = g.layer
    AND r.neuron = g.neuron AND tau = $tau
LEFT JOIN _interval AS i ON i.fit_id = g.fit_id AND i.concept_id = g.concept_id AND i.layer = g.layer
    AND i.neuron = g.neuron
LEFT JOIN _significance AS s ON s.fit_id = g.fit_id AND s.concept_id = g.concept_id AND s.layer = g.layer
    AND s.neuron = g.neuron
WHERE g.fit_id = $fit_id AND g.layer = $layer AND g.neuron = $neuron
ORDER BY c.concept
