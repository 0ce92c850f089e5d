-- Before exemplars of experts, whose neurons see some of the tokens.
CREATE VIEW firing AS
    SELECT f.site, f.layer, f.neuron, s.tokens AS n, mean, std, quantiles[1] AS min, quantiles[len(quantiles)] AS max,
           positive / s.tokens AS share_positive, beyond / s.tokens AS share_beyond, epsilon, position_correlation,
           quantiles::FLOAT[] AS quantiles, sampled, octave, histogram::INTEGER[] AS histogram,
           list_transform(quadrants::BIGINT[], lambda x: x / s.tokens) AS quadrants,
           c.group_id AS correlated_group, neurons AS correlated_neurons
    FROM _firing AS f CROSS JOIN _text_set AS s
    LEFT JOIN _correlated AS c ON c.site = f.site AND c.layer = f.layer AND c.neuron = f.neuron
    LEFT JOIN (SELECT site, group_id, count(*) AS neurons FROM _correlated GROUP BY site, group_id) AS g
        ON g.site = c.site AND g.group_id = c.group_id;
