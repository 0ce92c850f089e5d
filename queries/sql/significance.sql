-- Every concept of every fit with intervals against luck: the view concept_significance, and of how many neurons the
-- best is the best.
SELECT fit_id, concept_id, permutations, neurons, best_auc, auc_p, null_auc_95, best_interval, interval_p,
       null_interval_95, mean_tokens, length_auc
FROM concept_significance
JOIN (SELECT fit_id, concept_id, coalesce(any_value(of_experts), count(*) * any_value(width)) AS neurons
      FROM _chance JOIN fit USING (fit_id)
      LEFT JOIN (SELECT fit_id, concept_id, sum(neurons) AS of_experts FROM _expert_count
                 JOIN expert USING (layer, expert) WHERE fitted GROUP BY ALL) USING (fit_id, concept_id)
      GROUP BY ALL) USING (fit_id, concept_id);
