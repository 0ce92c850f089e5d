-- One neuron over all examples of each fit at $sites.
SELECT family, site, position, b.n, mean, std, skewness, kurtosis, min, max, mean_abs, ks
FROM _background AS b JOIN fit USING (fit_id)
WHERE layer = $layer AND neuron = $neuron AND site IN (SELECT unnest($sites::VARCHAR[]))
  AND ($family IS NULL OR family = $family) AND ($position IS NULL OR position = $position)
  AND ($template IS NULL OR template = $template)
ORDER BY family, site, position, fit_id;
