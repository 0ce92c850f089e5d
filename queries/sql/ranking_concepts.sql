-- The concepts of one fit by id: name and values per neuron.
SELECT concept_id, concept, n FROM fit_concept JOIN (SELECT concept_id, concept FROM concept) USING (concept_id)
WHERE fit_id = $fit_id;
