-- The sites that the running text was read at.
SELECT DISTINCT site FROM _firing ORDER BY site
