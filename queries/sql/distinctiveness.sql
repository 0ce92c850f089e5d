-- How much each of the tokens $ids tells: those that stand in no list are absent.
SELECT token_id, distinctiveness_of(count(*), (SELECT 2 * count(*) FROM _decoding)) AS weighed
FROM _posting WHERE token_id IN (SELECT unnest($ids::INTEGER[])) GROUP BY token_id
