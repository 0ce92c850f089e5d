-- Tokens whose text is $text to the letter.
SELECT token AS form, token_id, token FROM vocab WHERE token = $text ORDER BY token_id;
