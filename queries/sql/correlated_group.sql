-- The group of neurons that are active together with one, and how many there are; no row where it is in none. Not "near" (far/opened.py): it is of others too.
SELECT group_id, count(*) FROM _correlated WHERE site = $site AND group_id = (
    SELECT group_id FROM _correlated WHERE site = $site AND neuron = $neuron AND layer = $layer) GROUP BY group_id
