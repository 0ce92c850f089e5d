-- What stands beside neurons that a search has found: the first tokens of the weight that reads, or writes.
SELECT nid, (CASE WHEN sign > 0 THEN raised_token ELSE lowered_token END)[:$context] AS top
FROM _decoding JOIN (SELECT unnest($nids::INTEGER[]) AS nid, unnest($signs::TINYINT[]) AS sign) USING (nid)
WHERE nid IN (SELECT unnest($nids::INTEGER[]));
