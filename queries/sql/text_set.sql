-- How the running text was read.
SELECT texts, tokens, max_tokens, sampled, compared, correlated_from, seed, words, epsilon, extreme_window, band_window, first_token
FROM _text_set
