-- How the best interval of a concept compares with what luck gives, over all neurons of the fit.
SELECT folds, permutations, best_interval, interval_p, null_interval_95
FROM concept_significance WHERE fit_id = $fit_id AND concept_id = $concept_id;
