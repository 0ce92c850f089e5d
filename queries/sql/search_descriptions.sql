-- The descriptions of some neurons: of each side and sign the best measured one, of equal ones the first author's.
SELECT layer, neuron, side, sign, left(first(text ORDER BY score DESC NULLS LAST, author), 400) AS text
FROM description
WHERE (layer, neuron) IN (SELECT (unnest($layers::INTEGER[]), unnest($neurons::INTEGER[])))
GROUP BY ALL;
