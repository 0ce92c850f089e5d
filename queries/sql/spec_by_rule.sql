-- Neurons of one concept of one fit in $layers, strongest first by a saliency rule: {order_by}.
-- available counts them before the limit; place is 1 for all of them where the rule tells them not apart.
-- {coverage} and {leakage}: the shares that $min_coverage and $max_leakage are about.
WITH measured AS (
    SELECT g.*, coverage, leakage, i.* EXCLUDE (fit_id, concept_id, family, concept, site, position, layer, neuron, n),
           rest_mean_of(g.n, g.mean, b.n, b.mean) AS rest_mean, gradient, attribution
    FROM concept_gaussian AS g
    JOIN background_gaussian AS b USING (fit_id, layer, neuron)
    LEFT JOIN (SELECT * FROM concept_range WHERE tau = $tau) AS r USING (fit_id, concept_id, layer, neuron)
    LEFT JOIN concept_interval AS i USING (fit_id, concept_id, layer, neuron)
    LEFT JOIN (SELECT layer, neuron, gradient, attribution FROM _gradient
               WHERE fit_id = $fit_id AND concept_id = $concept_id) AS a USING (layer, neuron)
    WHERE fit_id = $fit_id AND concept_id = $concept_id AND layer IN (SELECT unnest($layers::INTEGER[]))
      AND ($min_coverage = 0 OR {coverage} >= $min_coverage)
      AND ($max_leakage IS NULL OR {leakage} <= $max_leakage)
      AND ($rule_coverage = 0 OR coverage >= $rule_coverage)),
ranked AS (SELECT *, count(*) OVER () AS available, rank() OVER (ORDER BY {order_by}) AS place FROM measured)
SELECT layer, neuron, available, max(place) OVER () AS last_place
FROM ranked
ORDER BY {order_by}, layer, neuron
LIMIT $limit;
