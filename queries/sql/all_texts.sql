-- All texts that exemplars are of.
SELECT text_id, source, document, start, n_tokens, tokens FROM _text
