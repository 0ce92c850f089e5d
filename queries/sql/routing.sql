-- Every expert, how much of the running text reaches it, and the concept that its router tells best.
SELECT x.layer, x.expert, x.kind, x.first_neuron, x.neurons, coalesce(f.routed, f.tokens) / f.tokens AS running_share,
       best.family, best.concept, best.router_auc, best.token_share
FROM expert AS x
LEFT JOIN (SELECT layer, neuron, any_value(tokens) AS tokens, any_value(routed) AS routed FROM _firing, _text_set
           WHERE site <> 'resid_post' GROUP BY layer, neuron) AS f
    ON f.layer = x.layer AND f.neuron = x.first_neuron
LEFT JOIN (SELECT layer, expert, family, concept, router_auc, token_share FROM expert_concept
           WHERE list_contains($fits::INTEGER[], fit_id) AND router_auc IS NOT NULL
           QUALIFY row_number() OVER (PARTITION BY layer, expert ORDER BY router_auc DESC, family, concept) = 1) AS best
    ON best.layer = x.layer AND best.expert = x.expert
WHERE $layer IS NULL OR x.layer = $layer
ORDER BY x.layer, x.expert;
