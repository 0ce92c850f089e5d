-- Every place of the tokens $ids in the lists, of one sign or (0) of both.
SELECT token_id, sign, nid, rank, logit FROM _posting
WHERE token_id IN (SELECT unnest($ids::INTEGER[])) AND ($sign = 0 OR sign = $sign);
