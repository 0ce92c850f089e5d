-- A part of other statements: every neuron under concept $concept_id of fit $fit_id. A fit's tables hold its layers
-- and neurons in the same order, so that they are laid side by side; no row of one is looked up for another.
g AS (SELECT * FROM _gaussian WHERE fit_id = $fit_id AND concept_id = $concept_id),
r AS (SELECT * FROM _range WHERE fit_id = $fit_id AND concept_id = $concept_id AND tau = $tau),
b AS (SELECT layer, neuron, n, mean FROM _background WHERE fit_id = $fit_id),
measured AS (
    SELECT g.layer, g.neuron, g.n, g.mean, g.std, g.mean_abs, g.min, g.max, g.dprime, g.overlap,
           (b.n * b.mean::DOUBLE - g.n * g.mean::DOUBLE) / nullif(b.n - g.n, 0) AS rest_mean,
           g.twice_u / nullif(2.0 * g.n * (b.n - g.n), 0) AS auc,
           inside / g.n AS coverage, others_inside / nullif(b.n - g.n, 0) AS leakage, worst_concept_id, worst_inside
    FROM g POSITIONAL JOIN r POSITIONAL JOIN b
    WHERE g.layer = r.layer AND g.layer = b.layer AND g.neuron = r.neuron AND g.neuron = b.neuron)
