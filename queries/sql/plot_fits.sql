-- The fits that measured a neuron at one of $sites, each with the concept that it separates best there.
WITH best AS (
    SELECT fit_id, arg_max(concept_id, coalesce(abs(auc - 0.5), 0)) AS concept_id
    FROM concept_gaussian WHERE layer = $layer AND neuron = $neuron GROUP BY fit_id)
SELECT fit_id, concept_id, fit.family, concept, site, position, template, width, taus
FROM best JOIN fit USING (fit_id) JOIN concept USING (concept_id)
WHERE site IN (SELECT unnest($sites::VARCHAR[]))
ORDER BY fit.family, site, position, fit_id
