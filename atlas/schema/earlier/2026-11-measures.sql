-- Before auc, rest_mean, coverage and leakage were macros of the file.
CREATE VIEW concept_gaussian AS
    SELECT fit_id, concept_id, fit.family, concept, site, position, layer, neuron, g.n, mean, std, skewness,
           kurtosis, min, max, mean_abs, ks, twice_u / nullif(2.0 * g.n * (fit.n - g.n), 0) AS auc, dprime, overlap
    FROM _gaussian AS g JOIN concept USING (concept_id) JOIN fit USING (fit_id);

CREATE VIEW background_gaussian AS
    SELECT fit_id, fit.family, site, position, layer, neuron, b.n, mean, std, skewness, kurtosis, min, max,
           mean_abs, ks
    FROM _background AS b JOIN fit USING (fit_id);

CREATE VIEW concept_range AS
    SELECT r.fit_id, r.concept_id, fit.family, c.concept, site, position, tau, r.layer, r.neuron, g.n, mean, std,
           range_lower(mean, std, tau) AS lower, range_upper(mean, std, tau) AS upper,
           inside / g.n AS coverage, others_inside / nullif(fit.n - g.n, 0) AS leakage,
           w.concept AS worst_concept, worst_inside / worst.n AS worst_leakage,
           twice_u / nullif(2.0 * g.n * (fit.n - g.n), 0) AS auc, dprime, overlap
    FROM _range AS r
    JOIN _gaussian AS g ON g.fit_id = r.fit_id AND g.concept_id = r.concept_id
        AND g.layer = r.layer AND g.neuron = r.neuron
    JOIN concept AS c ON c.concept_id = r.concept_id JOIN fit ON fit.fit_id = r.fit_id
    LEFT JOIN concept AS w ON w.concept_id = worst_concept_id
    LEFT JOIN fit_concept AS worst ON worst.fit_id = r.fit_id AND worst.concept_id = worst_concept_id;
