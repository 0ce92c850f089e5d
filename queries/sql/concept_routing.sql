-- Where the router sends the tokens of a concept, and those of the others of its fit: a row for each routed expert.
SELECT e.layer, e.expert, e.first_neuron, e.neurons, e.token_share,
       (SELECT sum(o.tokens) / nullif(sum(o.tokens_all), 0) FROM _expert_count AS o
        WHERE o.fit_id = $fit_id AND o.layer = e.layer AND o.expert = e.expert AND o.concept_id <> $concept_id)
           AS others_token_share,
       e.text_share, e.n, e.share, e.router_auc, e.fitted
FROM expert_concept AS e
WHERE e.fit_id = $fit_id AND e.concept_id = $concept_id AND e.kind = 'routed' AND ($layer IS NULL OR e.layer = $layer)
ORDER BY e.layer, e.expert;
