-- Fits at $site, each with a background over all its examples, that agree with the given names.
SELECT fit_id, family, site, position, template, width
FROM fit
WHERE site = $site AND ($family IS NULL OR family = $family) AND ($position IS NULL OR position = $position)
  AND ($template IS NULL OR template = $template)
ORDER BY fit_id;
