-- Every concept, once per fit that holds it, with the neuron that separates it best (AUC furthest from 0.5).
-- twice_u / (n (N - n)) is twice the AUC, so its distance from 1 orders as the AUC's from 0.5.
WITH best AS (
    SELECT fit_id, concept_id, arg_max(struct_pack(layer, neuron, twice_u, dprime),
               abs(twice_u / nullif(1.0 * g.n * (fit.n - g.n), 0) - 1)) AS best
    FROM _gaussian AS g JOIN fit USING (fit_id)
    WHERE $family IS NULL OR fit.family = $family
    GROUP BY ALL)
SELECT c.family, c.concept, c.n_examples, fit.fit_id, site, position, fit_concept.n,
       neuron_name(best.layer, best.neuron) AS best_neuron,
       best.twice_u / nullif(2.0 * fit_concept.n * (fit.n - fit_concept.n), 0) AS auc, best.dprime AS dprime
FROM concept AS c
LEFT JOIN fit_concept USING (concept_id)
LEFT JOIN fit ON fit.fit_id = fit_concept.fit_id
LEFT JOIN best ON best.fit_id = fit.fit_id AND best.concept_id = c.concept_id
WHERE $family IS NULL OR c.family = $family
ORDER BY c.family, c.concept, fit.fit_id;
