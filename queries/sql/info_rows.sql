-- Rows of the public tables and views, counted in the tables below them.
SELECT unnest(['vocab', 'token_decoding', 'concept', 'fit', 'concept_gaussian', 'background_gaussian',
               'concept_range', 'concept_histogram', 'neuron_vector']) AS "table",
       unnest([(SELECT count(*) FROM vocab), (SELECT count(*) FROM _posting), (SELECT count(*) FROM concept),
               (SELECT count(*) FROM fit), (SELECT count(*) FROM _gaussian), (SELECT count(*) FROM _background),
               (SELECT count(*) FROM _range), (SELECT count(*) * (SELECT bins FROM atlas) FROM _histogram),
               (SELECT count(*) FROM neuron_vector)]) AS rows;
