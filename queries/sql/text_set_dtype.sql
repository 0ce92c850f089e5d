-- The type that the model computed in when it read the running text.
SELECT dtype FROM run JOIN _text_set USING (run_id)
