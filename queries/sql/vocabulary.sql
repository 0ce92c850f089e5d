-- The whole vocabulary with the form under which a word finds a token (NULL: none).
SELECT token_id, token, norm, form FROM vocab LEFT JOIN _token_form USING (token_id) ORDER BY token_id;
