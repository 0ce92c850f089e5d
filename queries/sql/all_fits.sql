-- Every fit, with its concepts and the values per neuron of each: three lists side by side, NULL where it has none. Over
-- how many folds its intervals were held out: NULL where it has no intervals.
SELECT fit.fit_id, fit.family, site, position, template, width, fit.n, taus,
       list(c.concept_id) FILTER (c.concept_id IS NOT NULL), list(concept) FILTER (c.concept_id IS NOT NULL),
       list(c.n) FILTER (c.concept_id IS NOT NULL), i.folds
FROM fit LEFT JOIN (SELECT fit_id, concept_id, n, concept FROM fit_concept JOIN concept USING (concept_id)) AS c
    ON c.fit_id = fit.fit_id
LEFT JOIN _interval_fit AS i ON i.fit_id = fit.fit_id
GROUP BY ALL ORDER BY fit.fit_id;
