-- The first $longest neurons of one concept of one fit by a saliency rule: {order_by}. What is undefined is NaN or -1.
WITH {measured}
SELECT layer, neuron, range_lower(mean, std, $tau) AS lower, range_upper(mean, std, $tau) AS upper, coverage,
       coalesce(leakage, 'nan') AS leakage, coalesce(worst_concept_id, -1) AS worst_concept_id,
       coalesce(worst_inside, -1) AS worst_inside, coalesce(auc, 'nan') AS auc, coalesce(dprime, 'nan') AS dprime,
       coalesce(overlap, 'nan') AS overlap, n, mean, std, coalesce(rest_mean, 'nan') AS rest_mean, mean_abs, min, max
FROM measured
ORDER BY {order_by}, layer, neuron LIMIT $longest;
