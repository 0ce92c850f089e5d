-- The redundant group of one neuron, and how many neurons that has; no row where it is in none. Not "near" (far/opened.py): it is of others too.
SELECT group_id, count(*) FROM _redundant
WHERE group_id = (SELECT group_id FROM _redundant WHERE neuron = $neuron AND layer = $layer) GROUP BY group_id;
