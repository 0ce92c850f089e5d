-- Every rule of one concept, forms in the order of their names.
SELECT form, neurons, layer, n, n_others, coverage, coverage_low, coverage_high, leakage, leakage_low, leakage_high,
       youden_j, youden_j_low, youden_j_high, auc, auc_low, auc_high, f1, f1_low, f1_high, "precision", precision_low,
       precision_high, bias, threshold
FROM detector WHERE fit_id = $fit_id AND concept_id = $concept_id
ORDER BY form = 'layer', form, neurons
