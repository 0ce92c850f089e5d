-- The fits that hold a concept of this name, in any family.
SELECT fit_id, concept_id, fit.family, concept, site, position, template, width, taus
FROM fit JOIN fit_concept USING (fit_id) JOIN concept USING (concept_id)
WHERE concept = $concept
ORDER BY fit_id;
