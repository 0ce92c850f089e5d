-- Every concept, once per fit that holds it, with the neuron that separates it best (AUC furthest from 0.5).
-- twice_u is 2 n (N - n) times the AUC: its distance from n (N - n) orders as the AUC's from 0.5. Of equal ones the
-- first row counts, which is the lowest layer and neuron; without that, threads would decide.
WITH best AS (
    SELECT fit_id, concept_id,
           arg_max(g.rowid, abs(twice_u - nullif(g.n::BIGINT * (fit.n - g.n), 0))::HUGEINT * 4294967296 - g.rowid)
           AS best_row
    FROM _gaussian AS g JOIN fit USING (fit_id)
    WHERE $family IS NULL OR fit.family = $family
    GROUP BY ALL),
found AS (SELECT rowid AS best_row, layer, neuron, twice_u, dprime FROM _gaussian
          WHERE rowid IN (SELECT unnest((SELECT list(best_row) FROM best))))
SELECT c.family, c.concept, c.n_examples, fit.fit_id, site, position, fit_concept.n,
       neuron_name(found.layer, found.neuron) AS best_neuron,
       auc_of(found.twice_u, fit_concept.n, fit.n) AS auc, found.dprime AS dprime
FROM concept AS c
LEFT JOIN fit_concept USING (concept_id)
LEFT JOIN fit ON fit.fit_id = fit_concept.fit_id
LEFT JOIN best ON best.fit_id = fit.fit_id AND best.concept_id = c.concept_id
LEFT JOIN found USING (best_row)
WHERE $family IS NULL OR c.family = $family
ORDER BY c.family, c.concept, fit.fit_id;
