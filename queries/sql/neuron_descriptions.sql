-- What has been written about one neuron; longer texts, which no builder writes, are cut.
SELECT side, sign, left(author, 200) AS author, left(text, 400) AS text, measure, score, score_n, control, evidence, prompt_sha256, created_at
FROM description WHERE layer = $layer AND neuron = $neuron ORDER BY side, sign DESC, author;
