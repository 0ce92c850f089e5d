-- Every stored score, newest evaluation first; a drop is baseline minus arm on the same texts. layers are those that the
-- spec edits, NULL where its document does not say.
SELECT started_at, target, rule, top, op, tau, arm, metric, text_group, value, ci_low, ci_high,
       drop_value, drop_low, drop_high, n, bounds, sites, layers, positions, n_edits, corpus, corpus_sha256, template, labels, n_shots,
       other_text, seed, bootstrap, n_used, n_dropped, model_id, fingerprint, spec_hash, evaluation_id, sweep_id,
       atlas_id, software, device, dtype, seconds
FROM evaluation JOIN score USING (evaluation_id)
LEFT JOIN (
    SELECT spec_hash, CASE WHEN json_valid(spec) THEN
        list_sort(list_distinct(TRY(CAST(json_extract_string(spec, '$.edits[*].layer') AS INTEGER[])))) END AS layers
    FROM spec) USING (spec_hash)
WHERE ($target IS NULL OR target = $target) AND ($metric IS NULL OR metric = $metric)
  AND ($sweep_id IS NULL OR sweep_id = $sweep_id)
ORDER BY started_at DESC, evaluation_id, list_position(['baseline', 'whole_neuron', 'range', 'spec'], arm),
         list_position(['target', 'complement', 'other'], text_group), metric
LIMIT $limit;
