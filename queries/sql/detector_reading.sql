-- What the run of a fit says of how it read its texts.
SELECT parameters, dtype FROM run JOIN fit USING (run_id) WHERE fit_id = $fit_id
