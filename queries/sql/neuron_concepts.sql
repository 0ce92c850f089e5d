-- One neuron under every concept of every fit at $sites, best separated first. Without $tau a fit shows the
-- paper's 2.5 where it was measured, else its first half-width.
WITH g AS (SELECT * FROM _gaussian WHERE layer = $layer AND neuron = $neuron),
r AS (SELECT * FROM _range WHERE layer = $layer AND neuron = $neuron),
chosen AS (
    SELECT *, CASE WHEN $tau IS NOT NULL THEN $tau WHEN list_contains(taus, 2.5) THEN 2.5 ELSE taus[1] END AS wanted
    FROM fit
    WHERE site IN (SELECT unnest($sites::VARCHAR[])) AND ($family IS NULL OR family = $family)
      AND ($position IS NULL OR position = $position) AND ($template IS NULL OR template = $template))
SELECT chosen.family, c.concept, site, position, g.n, mean, std, tau,
       CASE WHEN tau IS NOT NULL THEN range_lower(mean, std, tau) END AS lower,
       CASE WHEN tau IS NOT NULL THEN range_upper(mean, std, tau) END AS upper,
       inside / g.n AS coverage, others_inside / nullif(chosen.n - g.n, 0) AS leakage,
       w.concept AS worst_concept, worst_inside / wf.n AS worst_leakage,
       twice_u / nullif(2.0 * g.n * (chosen.n - g.n), 0) AS auc, dprime, overlap,
       skewness, kurtosis, min, max, mean_abs, ks
FROM g JOIN chosen USING (fit_id) JOIN concept AS c USING (concept_id)
LEFT JOIN r ON r.fit_id = g.fit_id AND r.concept_id = g.concept_id AND r.tau = wanted
LEFT JOIN concept AS w ON w.concept_id = r.worst_concept_id
LEFT JOIN fit_concept AS wf ON wf.fit_id = g.fit_id AND wf.concept_id = r.worst_concept_id
ORDER BY abs(auc - 0.5) DESC NULLS LAST, chosen.family, c.concept, site, position, g.fit_id;
