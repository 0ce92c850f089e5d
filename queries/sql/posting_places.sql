-- Where the tokens $ids stand in the lists, of both signs.
SELECT nid, rank FROM _posting WHERE token_id IN (SELECT unnest($ids::INTEGER[]));
