-- The executions of builders that this atlas came from; times in UTC, seconds of wall time.
SELECT run_id, builder, device, dtype, started_at, finished_at,
       date_diff('second', started_at, finished_at) AS seconds, parameters, versions
FROM run ORDER BY run_id;
