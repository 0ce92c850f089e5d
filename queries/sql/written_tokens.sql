-- The first $length tokens that the decodings $nids raise, and those that they lower.
SELECT nid, raised_token[:$length], lowered_token[:$length] FROM _decoding
WHERE nid IN (SELECT unnest($nids::INTEGER[]))
