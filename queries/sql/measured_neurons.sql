-- A part of other statements: every neuron under concept $concept_id of fit $fit_id, with the {columns} that measures
-- are made of or that rank it. A fit's tables hold its layers and neurons in the same order, so that they are laid side
-- by side; no row of one is looked up for another, but by {with_ranges} and {with_background} in a
-- mixture of experts, where tables have not the same neurons. {tables}: those beyond Gaussians and ranges, {beside} those of them
-- that have all neurons of a fit or none, {same} that these agree, {joins} the others.
g AS (SELECT layer, neuron, n, {gaussian} FROM _gaussian WHERE fit_id = $fit_id AND concept_id = $concept_id),
r AS (SELECT layer, neuron, inside, others_inside, worst_concept_id, worst_inside, worst_n FROM _range
      WHERE fit_id = $fit_id AND concept_id = $concept_id AND tau = $tau),
b AS (SELECT layer, neuron, n AS n_all, mean AS mean_all FROM _background WHERE fit_id = $fit_id),
{tables}
measured AS (
    SELECT g.layer, g.neuron, n, {columns}
    FROM g {with_ranges} {with_background} {beside} {joins}
    WHERE g.layer = r.layer AND g.layer = b.layer AND g.neuron = r.neuron AND g.neuron = b.neuron {same})
