-- The first $longest neurons of one concept of one fit by a saliency rule: {order_by}. {columns}: the measures; what is
-- undefined is NaN or -1.
WITH {measured}
SELECT layer, neuron, n, coalesce(worst_concept_id, -1) AS worst_concept_id,
       coalesce(worst_inside, -1) AS worst_inside, coalesce(held_worst_concept_id, -1) AS held_worst_concept_id,
       coalesce(held_worst_inside, -1) AS held_worst_inside, coalesce(worst_n, -1) AS worst_n,
       coalesce(held_worst_n, -1) AS held_worst_n, {columns}
FROM measured
ORDER BY {order_by}, layer, neuron LIMIT $longest;
