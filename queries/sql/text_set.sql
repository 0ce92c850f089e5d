-- How the running text was read, and at which sites.
SELECT texts, tokens, max_tokens, sampled, compared, correlated_from, seed, words, epsilon, extreme_window, band_window, first_token,
       (SELECT list(DISTINCT site ORDER BY site) FROM _firing) AS sites
FROM _text_set
