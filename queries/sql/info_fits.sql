-- The fits: one labelled corpus at one site and position each.
SELECT fit.fit_id, family, site, position, template, fit.n, count(concept_id) AS concepts, width, taus, corpus_sha256
FROM fit LEFT JOIN fit_concept USING (fit_id)
GROUP BY ALL ORDER BY fit.fit_id;
