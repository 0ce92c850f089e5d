-- Every fit, with its concepts and the values per neuron of each: three lists side by side.
SELECT fit.fit_id, fit.family, site, position, template, fit.n, taus, list(concept_id), list(concept), list(c.n)
FROM fit JOIN (SELECT fit_id, concept_id, n, concept FROM fit_concept JOIN concept USING (concept_id)) AS c
    ON c.fit_id = fit.fit_id
GROUP BY ALL;
