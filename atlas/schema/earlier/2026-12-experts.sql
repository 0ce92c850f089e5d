-- Before experts were known, and with them numbers of values that differ from neuron to neuron.
CREATE VIEW concept_gaussian AS
    SELECT g.fit_id, g.concept_id, fit.family, concept, site, position, g.layer, g.neuron, g.n, mean, std, skewness,
           kurtosis, min, max, mean_abs, ks, auc_of(twice_u, g.n, fit.n) AS auc, dprime, overlap
    FROM _gaussian AS g JOIN concept USING (concept_id) JOIN fit USING (fit_id);

CREATE VIEW concept_range AS
    SELECT r.fit_id, r.concept_id, fit.family, c.concept, site, position, r.tau, r.layer, r.neuron, g.n, mean, std,
           range_lower(mean, std, r.tau) AS lower, range_upper(mean, std, r.tau) AS upper,
           coverage_of(inside, g.n) AS coverage, leakage_of(others_inside, g.n, fit.n) AS leakage,
           w.concept AS worst_concept, coverage_of(worst_inside, worst.n) AS worst_leakage,
           auc_of(twice_u, g.n, fit.n) AS auc, dprime, overlap
    FROM _range AS r
    JOIN _gaussian AS g ON g.fit_id = r.fit_id AND g.concept_id = r.concept_id
        AND g.layer = r.layer AND g.neuron = r.neuron
    JOIN concept AS c ON c.concept_id = r.concept_id JOIN fit ON fit.fit_id = r.fit_id
    LEFT JOIN concept AS w ON w.concept_id = worst_concept_id
    LEFT JOIN fit_concept AS worst ON worst.fit_id = r.fit_id AND worst.concept_id = worst_concept_id;

CREATE VIEW concept_interval AS
    SELECT i.fit_id, i.concept_id, fit.family, c.concept, site, position, i.layer, i.neuron, m.n,
           interval_lower, interval_upper,
           coverage_of(interval_inside, m.n) AS interval_coverage,
           leakage_of(interval_others, m.n, fit.n) AS interval_leakage,
           coverage_of(held_inside, m.n) AS held_out_coverage,
           leakage_of(held_others, m.n, fit.n) AS held_out_leakage,
           w.concept AS held_out_worst_concept, coverage_of(held_worst_inside, worst.n) AS held_out_worst_leakage,
           ap, ap_low, best_f1, point_biserial, stratified_auc, p, q, expected_coverage, expected_leakage
    FROM _interval AS i JOIN fit ON fit.fit_id = i.fit_id JOIN concept AS c ON c.concept_id = i.concept_id
    JOIN fit_concept AS m ON m.fit_id = i.fit_id AND m.concept_id = i.concept_id
    LEFT JOIN _significance AS s ON s.fit_id = i.fit_id AND s.layer = i.layer AND s.concept_id = i.concept_id
        AND s.neuron = i.neuron
    LEFT JOIN concept AS w ON w.concept_id = held_worst_concept_id
    LEFT JOIN fit_concept AS worst ON worst.fit_id = i.fit_id AND worst.concept_id = held_worst_concept_id;

