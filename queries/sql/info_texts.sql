-- The running text, as the product exemplars read it.
SELECT (SELECT list(DISTINCT source ORDER BY source) FROM _text) AS sources, texts, tokens, max_tokens, words, sampled,
       (SELECT list(DISTINCT site ORDER BY site) FROM _firing) AS sites,
       (SELECT count(DISTINCT layer) FROM _firing) AS layers, run_id
FROM _text_set
