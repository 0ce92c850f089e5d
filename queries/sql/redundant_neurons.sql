-- How many neurons a redundant group has.
SELECT count(*) FROM _redundant WHERE group_id = $group_id;
