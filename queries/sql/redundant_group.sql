-- The redundant group of one neuron, and how many neurons that has; no row where it is in none.
SELECT group_id, count(*) FROM _redundant
WHERE group_id = (SELECT group_id FROM _redundant WHERE layer = $layer AND neuron = $neuron) GROUP BY group_id;
