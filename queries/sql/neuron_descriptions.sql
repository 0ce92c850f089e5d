-- What has been written about one neuron.
SELECT side, sign, author, text, measure, score, score_n, control, evidence, prompt_sha256, created_at
FROM description WHERE layer = $layer AND neuron = $neuron ORDER BY side, sign DESC, author;
