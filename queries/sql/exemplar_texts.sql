-- Some of the texts that exemplars are of.
SELECT text_id, source, document, start, n_tokens, tokens FROM _text WHERE text_id IN (SELECT unnest($texts::INTEGER[]))
