-- The first $limit neurons by {measure}, of the vectors of $weight where it is one of a vector.
SELECT layer, neuron, {measure}, io_class
FROM _neuron_fact LEFT JOIN (SELECT * FROM _weight_fact WHERE weight = $weight {of_layer}) USING (layer, neuron)
WHERE {measure} IS NOT NULL {of_layer} AND ($io_class IS NULL OR io_class = $io_class)
ORDER BY {measure} {direction}, layer, neuron LIMIT $limit;
