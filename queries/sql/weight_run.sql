-- What the facts of weights that are there were measured with.
SELECT * FROM weight_run ORDER BY run_id DESC LIMIT 1;
