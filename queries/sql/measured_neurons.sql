-- A part of other statements: every neuron under concept $concept_id of fit $fit_id, with the {columns} that measures
-- are made of or that rank it. A fit's tables hold its layers and neurons in the same order, so that they are laid side
-- by side; no row of one is looked up for another. {tables} and {joins}: those beyond Gaussians and ranges.
g AS (SELECT layer, neuron, n, {gaussian} FROM _gaussian WHERE fit_id = $fit_id AND concept_id = $concept_id),
r AS (SELECT layer, neuron, inside, others_inside, worst_concept_id, worst_inside FROM _range
      WHERE fit_id = $fit_id AND concept_id = $concept_id AND tau = $tau),
b AS (SELECT layer, neuron, n AS n_all, mean AS mean_all FROM _background WHERE fit_id = $fit_id),
{tables}
measured AS (
    SELECT g.layer, g.neuron, n, {columns}, worst_concept_id, worst_inside
    FROM g POSITIONAL JOIN r POSITIONAL JOIN b {joins}
    WHERE g.layer = r.layer AND g.layer = b.layer AND g.neuron = r.neuron AND g.neuron = b.neuron)
