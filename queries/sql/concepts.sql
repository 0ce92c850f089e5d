-- Every concept, once per fit that holds it, with the neuron that tells it best: by held-out coverage - leakage of its
-- interval, and in a fit without intervals by AUC (the furthest from 0.5).
-- Counts over common denominators order as the shares do: with n values of the concept and N in all, coverage - leakage
-- is (held_inside (N - n) - held_others n) over n (N - n), and the distance of the AUC from 0.5 is that of twice_u from
-- n (N - n) over twice that. Of equal ones the first row counts, which is the lowest layer and neuron; without that,
-- threads would decide.
-- Neurons of experts have numbers of values of their own: there shares are compared, as whole numbers of 2^-52.
WITH wanted AS (SELECT fit_id, n, EXISTS (FROM _interval_fit AS i WHERE i.fit_id = fit.fit_id) AS held_out,
                       EXISTS (FROM _expert_count AS e WHERE e.fit_id = fit.fit_id) AS of_experts FROM fit
                WHERE $family IS NULL OR family = $family),
best_interval AS (
    SELECT i.fit_id, concept_id,
           arg_max(i.rowid, CASE WHEN of_experts
                       THEN ((coverage_of(held_inside, coalesce(i.n, m.n))
                              - leakage_of(held_others, coalesce(i.n, m.n), coalesce(i.n_all, fit.n)))
                             * 4503599627370496)::HUGEINT
                       ELSE (held_inside::BIGINT * nullif(fit.n - m.n, 0) - held_others::BIGINT * m.n)::HUGEINT END
                            * 4294967296 - i.rowid) AS best_row
    FROM _interval AS i JOIN wanted AS fit USING (fit_id) JOIN fit_concept AS m USING (fit_id, concept_id)
    GROUP BY ALL),
best_auc AS (
    SELECT fit_id, concept_id,
           arg_max(g.rowid, CASE WHEN of_experts
                       THEN (abs(auc_of(twice_u, g.n, coalesce(g.n_all, fit.n)) - 0.5) * 4503599627370496)::HUGEINT
                       ELSE abs(twice_u - nullif(g.n::BIGINT * (fit.n - g.n), 0))::HUGEINT END
                   * 4294967296 - g.rowid) AS best_row
    FROM _gaussian AS g JOIN wanted AS fit USING (fit_id)
    WHERE NOT held_out
    GROUP BY ALL),
place AS (
    SELECT fit_id, concept_id, layer, neuron, held_inside, held_others
    FROM _interval JOIN best_interval USING (fit_id, concept_id)
    WHERE _interval.rowid = best_row
      AND _interval.rowid IN (SELECT unnest((SELECT list(best_row) FROM best_interval)))
    UNION ALL
    SELECT fit_id, concept_id, layer, neuron, NULL, NULL FROM _gaussian JOIN best_auc USING (fit_id, concept_id)
    WHERE _gaussian.rowid = best_row AND _gaussian.rowid IN (SELECT unnest((SELECT list(best_row) FROM best_auc)))),
found AS (
    SELECT p.*, twice_u, dprime, g.n, g.n_all FROM place AS p JOIN _gaussian AS g USING (fit_id, concept_id, layer, neuron)
    WHERE g.neuron IN (SELECT unnest((SELECT list(neuron) FROM place))))
SELECT c.family, c.concept, c.n_examples, fit.fit_id, site, position, fit_concept.n,
       neuron_name(found.layer, found.neuron) AS best_neuron,
       coverage_of(held_inside, found.n) AS held_out_coverage,
       leakage_of(held_others, found.n, coalesce(found.n_all, fit.n)) AS held_out_leakage,
       auc_of(found.twice_u, found.n, coalesce(found.n_all, fit.n)) AS auc, found.dprime AS dprime, c.concept_id
FROM concept AS c
LEFT JOIN fit_concept USING (concept_id)
LEFT JOIN fit ON fit.fit_id = fit_concept.fit_id
LEFT JOIN found ON found.fit_id = fit.fit_id AND found.concept_id = c.concept_id
WHERE $family IS NULL OR c.family = $family
ORDER BY c.family, c.concept, fit.fit_id;
