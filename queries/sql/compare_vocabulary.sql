-- One number for the whole vocabulary: two atlases agree on it when every token id has the same text.
SELECT count(*) AS tokens, md5(string_agg(md5(token), '' ORDER BY token_id)) AS digest FROM vocab
