-- Tokens that are a form of a word: $forms are lower-case texts without surrounding space.
SELECT form, token_id, token
FROM _token_form JOIN vocab USING (token_id)
WHERE form IN (SELECT unnest($forms::VARCHAR[]))
ORDER BY form, token_id;
