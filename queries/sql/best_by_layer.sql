-- Of a layer and each concept of a fit the neuron with the largest held-out coverage - leakage, and how many reach $least.
-- Of equal ones the first. As the view concept_interval has it, without its joins to what the answer does not hold.
SELECT concept, layer, neuron_name(layer, arg_max(neuron, row(told, -neuron))) AS address, max(told) AS youden_j,
       count(*) FILTER (told >= $least) AS telling, count(*) AS neurons
FROM (SELECT i.layer, c.concept, i.neuron,
             coverage_of(held_inside, coalesce(i.n, m.n))
             - leakage_of(held_others, coalesce(i.n, m.n), coalesce(i.n_all, fit.n)) AS told
      FROM _interval AS i JOIN fit USING (fit_id) JOIN concept AS c USING (concept_id)
           JOIN fit_concept AS m USING (fit_id, concept_id)
      WHERE i.fit_id = $fit_id {of_layer})
WHERE told IS NOT NULL
GROUP BY layer, concept
ORDER BY layer, concept
