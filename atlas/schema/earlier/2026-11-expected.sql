-- Before expected_coverage and expected_leakage were stored.
CREATE VIEW concept_interval AS
    SELECT i.fit_id, i.concept_id, fit.family, c.concept, site, position, i.layer, i.neuron, m.n,
           interval_lower, interval_upper,
           coverage_of(interval_inside, m.n) AS interval_coverage,
           leakage_of(interval_others, m.n, fit.n) AS interval_leakage,
           coverage_of(held_inside, m.n) AS held_out_coverage,
           leakage_of(held_others, m.n, fit.n) AS held_out_leakage,
           w.concept AS held_out_worst_concept, coverage_of(held_worst_inside, worst.n) AS held_out_worst_leakage,
           ap, ap_low, best_f1, point_biserial, stratified_auc, p, q
    FROM _interval AS i JOIN fit ON fit.fit_id = i.fit_id JOIN concept AS c ON c.concept_id = i.concept_id
    JOIN fit_concept AS m ON m.fit_id = i.fit_id AND m.concept_id = i.concept_id
    LEFT JOIN _significance AS s ON s.fit_id = i.fit_id AND s.layer = i.layer AND s.concept_id = i.concept_id
        AND s.neuron = i.neuron
    LEFT JOIN concept AS w ON w.concept_id = held_worst_concept_id
    LEFT JOIN fit_concept AS worst ON worst.fit_id = i.fit_id AND worst.concept_id = held_worst_concept_id;
