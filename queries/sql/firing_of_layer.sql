-- A row if the running text was read at a layer.
SELECT 1 FROM _firing WHERE site = $site AND layer = $layer LIMIT 1
