-- Text and norm of the tokens $ids.
SELECT token_id, token, norm FROM vocab WHERE token_id IN (SELECT unnest($ids::INTEGER[]));
