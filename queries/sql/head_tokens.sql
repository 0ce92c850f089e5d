-- The first $length raised tokens of the decodings $nids, in order.
SELECT nid, list(token ORDER BY rank)
FROM (SELECT nid, unnest(raised_token[:$length]) AS token_id, unnest(range($length)) AS rank
      FROM _decoding WHERE nid IN (SELECT unnest($nids::INTEGER[])))
JOIN vocab USING (token_id) GROUP BY nid;
