-- Of a layer and each concept of a fit the neuron with the largest held-out coverage - leakage, and how many reach $least.
SELECT layer, concept, neuron_name(layer, arg_max(neuron, told)) AS address, max(told) AS youden_j,
       count(*) FILTER (told >= $least) AS telling, count(*) AS neurons
FROM (SELECT layer, concept, neuron, held_out_coverage - held_out_leakage AS told
      FROM concept_interval WHERE fit_id = $fit_id AND layer = $layer)
WHERE told IS NOT NULL
GROUP BY layer, concept
ORDER BY concept
