-- Definitions that live in the file, so that the bare duckdb shell gives the same answers as our code.

CREATE MACRO neuron_name(layer, neuron) AS 'L' || layer || 'N' || neuron;

-- nid: one integer per (weight, layer, neuron); the key of _decoding and _posting.
CREATE MACRO nid_of(w, l, n) AS
    ((enum_code(w::weight_t)::INTEGER * {n_layers} + l::INTEGER) * {width} + n::INTEGER)::INTEGER;
CREATE MACRO weight_of(nid) AS (enum_range(NULL::weight_t))[nid // ({n_layers} * {width}) + 1]::weight_t;
CREATE MACRO layer_of(nid) AS ((nid // {width}) % {n_layers})::INTEGER;
CREATE MACRO neuron_of(nid) AS (nid % {width})::INTEGER;

-- The range of NeuronLens (arXiv 2502.06809): mean +- tau * std, closed. Rounded to float32 because the
-- condition of an edit is decided in float32.
CREATE MACRO range_lower(mean, std, tau) AS (mean::DOUBLE - tau::DOUBLE * std::DOUBLE)::FLOAT;
CREATE MACRO range_upper(mean, std, tau) AS (mean::DOUBLE + tau::DOUBLE * std::DOUBLE)::FLOAT;

-- n: values of the concept, n_all: of the whole fit. AUC is exact: twice_u counts pairs (ties once, wins twice).
CREATE MACRO auc_of(twice_u, n, n_all) AS twice_u / nullif(2.0 * n * (n_all - n), 0);
CREATE MACRO rest_mean_of(n, mean, n_all, mean_all) AS
    (n_all * mean_all::DOUBLE - n * mean::DOUBLE) / nullif(n_all - n, 0);
CREATE MACRO coverage_of(inside, n) AS inside / n;
CREATE MACRO leakage_of(others_inside, n, n_all) AS others_inside / nullif(n_all - n, 0);

-- Upper tail of the standard normal for a >= 0 (Hart 1968, as given by West 2005). NULL -> NULL, NaN -> NaN.
CREATE MACRO _upper_tail(a) AS CASE
    WHEN a < 7.0710678118654755e0 THEN exp(-0.5e0 * a * a)
        * ((((((3.52624965998911e-02 * a + 0.700383064443688e0) * a + 6.37396220353165e0) * a
            + 33.912866078383e0) * a + 112.079291497871e0) * a + 221.213596169931e0) * a + 220.206867912376e0)
        / (((((((8.83883476483184e-02 * a + 1.75566716318264e0) * a + 16.064177579207e0) * a
            + 86.7807322029461e0) * a + 296.564248779674e0) * a + 637.333633378831e0) * a
            + 793.826512519948e0) * a + 440.413735824752e0)
    WHEN a < 38e0 THEN exp(-0.5e0 * a * a) * 0.3989422804014327e0
        / (a + 1e0 / (a + 2e0 / (a + 3e0 / (a + 4e0 / (a + 0.65e0)))))
    WHEN isnan(a) THEN a
    WHEN a IS NOT NULL THEN 0e0 END;
CREATE MACRO norm_cdf(z) AS
    CASE WHEN z <= 0 THEN _upper_tail(-(z::DOUBLE)) WHEN z > 0 THEN 1e0 - _upper_tail(z::DOUBLE) END;
-- Mass of N(mean, std) in [lower, upper]; std = 0 is a point mass; no cancellation in either tail.
CREATE MACRO norm_mass(mean, std, lower, upper) AS CASE
    WHEN upper < lower THEN 0e0
    WHEN std > 0 THEN CASE
        WHEN lower > mean
            THEN _upper_tail((lower::DOUBLE - mean) / std) - _upper_tail((upper::DOUBLE - mean) / std)
        WHEN upper < mean
            THEN _upper_tail((mean - upper::DOUBLE) / std) - _upper_tail((mean - lower::DOUBLE) / std)
        ELSE 1e0 - _upper_tail((mean - lower::DOUBLE) / std) - _upper_tail((upper::DOUBLE - mean) / std) END
    WHEN std = 0 THEN (mean BETWEEN lower AND upper)::INTEGER::DOUBLE END;

CREATE VIEW token_decoding AS
    WITH flat AS (
        SELECT weight, layer, neuron, 1::TINYINT AS sign, unnest(range(1, {top} + 1))::SMALLINT AS rank,
               unnest(raised_token::INTEGER[]) AS token_id, unnest(raised_logit::FLOAT[]) AS logit,
               raised_lse AS lse, norm FROM _decoding
        UNION ALL
        SELECT weight, layer, neuron, -1::TINYINT, unnest(range(1, {top} + 1))::SMALLINT,
               unnest(lowered_token::INTEGER[]), unnest(lowered_logit::FLOAT[]), lowered_lse, norm FROM _decoding)
    SELECT weight, layer, neuron, sign, rank, token_id, token, logit,
           exp(sign * logit::DOUBLE - lse) AS probability, logit / nullif(flat.norm * vocab.norm, 0) AS cosine
    FROM flat JOIN vocab USING (token_id);

-- The same for one neuron: the filter stands inside, which a filter on the view does not reach.
CREATE MACRO neuron_tokens(l, n) AS TABLE
    WITH card AS (SELECT * FROM _decoding WHERE layer = l AND neuron = n),
    flat AS (
        SELECT weight, layer, neuron, 1::TINYINT AS sign, unnest(range(1, {top} + 1))::SMALLINT AS rank,
               unnest(raised_token::INTEGER[]) AS token_id, unnest(raised_logit::FLOAT[]) AS logit,
               raised_lse AS lse, norm FROM card
        UNION ALL
        SELECT weight, layer, neuron, -1::TINYINT, unnest(range(1, {top} + 1))::SMALLINT,
               unnest(lowered_token::INTEGER[]), unnest(lowered_logit::FLOAT[]), lowered_lse, norm FROM card)
    SELECT weight, layer, neuron, sign, rank, token_id, token, logit,
           exp(sign * logit::DOUBLE - lse) AS probability, logit / nullif(flat.norm * vocab.norm, 0) AS cosine
    FROM flat JOIN vocab USING (token_id) ORDER BY weight, sign DESC, rank;

CREATE MACRO token_ids(word) AS TABLE
    SELECT token_id, token FROM vocab
    WHERE token_id IN (SELECT token_id FROM _token_form WHERE form = lower(trim(word))) ORDER BY token_id;

-- Neurons that raise (sgn 1) or lower (sgn -1) any of the tokens `ids`, strongest first.
CREATE MACRO find_neurons(ids, sgn := 1, k := 50) AS TABLE
    SELECT weight_of(nid) AS weight, layer_of(nid) AS layer, neuron_of(nid) AS neuron, hits, logit, rank
    FROM (SELECT nid, count(*) AS hits, sgn * max(sgn * logit) AS logit, min(rank) AS rank
          FROM _posting WHERE token_id IN (SELECT unnest(ids::INTEGER[])) AND sign = sgn
          GROUP BY nid ORDER BY max(sgn * logit) DESC, nid LIMIT k) ORDER BY sgn * logit DESC, nid_of(weight, layer, neuron);

-- Which texts the statistics of a fit used; see docs/schema.md for the hash.
CREATE VIEW fit_example AS SELECT fit_id, text_hash FROM _fit_example;

-- Columns and joins of tables that came later stand where it says so (schema/statements.py).
CREATE VIEW concept_gaussian AS
    SELECT g.fit_id, g.concept_id, fit.family, concept, site, position, g.layer, g.neuron, g.n, mean, std, skewness,
           kurtosis, min, max, mean_abs, ks, auc_of(twice_u, g.n, coalesce(g.n_all, fit.n)) AS auc, dprime, overlap
           {columns of concept_gaussian}
    FROM _gaussian AS g JOIN concept USING (concept_id) JOIN fit USING (fit_id) {joins of concept_gaussian};
CREATE VIEW background_gaussian AS
    SELECT b.fit_id, fit.family, site, position, b.layer, b.neuron, b.n, mean, std, skewness, kurtosis, min, max,
           mean_abs, ks {columns of background_gaussian}
    FROM _background AS b JOIN fit USING (fit_id) {joins of background_gaussian};
CREATE VIEW concept_range AS
    SELECT r.fit_id, r.concept_id, fit.family, c.concept, site, position, r.tau, r.layer, r.neuron, g.n, mean, std,
           range_lower(mean, std, r.tau) AS lower, range_upper(mean, std, r.tau) AS upper,
           coverage_of(inside, g.n) AS coverage, leakage_of(others_inside, g.n, coalesce(g.n_all, fit.n)) AS leakage,
           w.concept AS worst_concept, coverage_of(worst_inside, coalesce(worst_n, worst.n)) AS worst_leakage,
           auc_of(twice_u, g.n, coalesce(g.n_all, fit.n)) AS auc, dprime, overlap {columns of concept_range}
    FROM _range AS r
    JOIN _gaussian AS g ON g.fit_id = r.fit_id AND g.concept_id = r.concept_id
        AND g.layer = r.layer AND g.neuron = r.neuron
    JOIN concept AS c ON c.concept_id = r.concept_id JOIN fit ON fit.fit_id = r.fit_id
    LEFT JOIN concept AS w ON w.concept_id = worst_concept_id
    LEFT JOIN fit_concept AS worst ON worst.fit_id = r.fit_id AND worst.concept_id = worst_concept_id
    {joins of concept_range};
-- Histogram bins are equal parts of [background min, background max]; the last one is closed.
CREATE VIEW concept_histogram AS
    SELECT fit_id, concept_id, concept, site, layer, neuron, bin,
           min + (max - min) * (bin - 1) / {bins} AS lower, min + (max - min) * bin / {bins} AS upper, count
    FROM (SELECT *, unnest(range(1, {bins} + 1)) AS bin, unnest(counts::INTEGER[]) AS count FROM _histogram)
    JOIN (SELECT fit_id, layer, neuron, min::DOUBLE AS min, max::DOUBLE AS max FROM _background)
        USING (fit_id, layer, neuron)
    JOIN concept USING (concept_id) JOIN fit USING (fit_id);
-- The best interval of each neuron, and what the intervals that were found on four fifths hold of the other fifth.
CREATE VIEW concept_interval AS
    SELECT i.fit_id, i.concept_id, fit.family, c.concept, site, position, i.layer, i.neuron,
           coalesce(i.n, m.n) AS n,
           interval_lower, interval_upper,
           coverage_of(interval_inside, coalesce(i.n, m.n)) AS interval_coverage,
           leakage_of(interval_others, coalesce(i.n, m.n), coalesce(i.n_all, fit.n)) AS interval_leakage,
           coverage_of(held_inside, coalesce(i.n, m.n)) AS held_out_coverage,
           leakage_of(held_others, coalesce(i.n, m.n), coalesce(i.n_all, fit.n)) AS held_out_leakage,
           w.concept AS held_out_worst_concept,
           coverage_of(held_worst_inside, coalesce(held_worst_n, worst.n)) AS held_out_worst_leakage,
           ap, ap_low, best_f1, point_biserial, stratified_auc, p, q, expected_coverage, expected_leakage
    FROM _interval AS i JOIN fit ON fit.fit_id = i.fit_id JOIN concept AS c ON c.concept_id = i.concept_id
    JOIN fit_concept AS m ON m.fit_id = i.fit_id AND m.concept_id = i.concept_id
    LEFT JOIN _significance AS s ON s.fit_id = i.fit_id AND s.layer = i.layer AND s.concept_id = i.concept_id
        AND s.neuron = i.neuron
    LEFT JOIN concept AS w ON w.concept_id = held_worst_concept_id
    LEFT JOIN fit_concept AS worst ON worst.fit_id = i.fit_id AND worst.concept_id = held_worst_concept_id;

-- How many of a concept's values, texts and tokens the router sends to each expert.
CREATE VIEW expert_concept AS
    SELECT e.fit_id, e.concept_id, fit.family, c.concept, site, position, e.layer, e.expert, kind, first_neuron, neurons,
           e.n, e.n / m.n AS share, texts / nullif(texts_all, 0) AS text_share,
           tokens / nullif(tokens_all, 0) AS token_share, router_auc, fitted
    FROM _expert_count AS e JOIN fit ON fit.fit_id = e.fit_id JOIN concept AS c ON c.concept_id = e.concept_id
    JOIN fit_concept AS m ON m.fit_id = e.fit_id AND m.concept_id = e.concept_id
    JOIN expert AS x ON x.layer = e.layer AND x.expert = e.expert;

-- 95 % intervals of a share, hits of n (Wilson 1927), and of the difference of two shares (Newcombe 1998, method 10).
CREATE MACRO wilson_low(hits, n) AS (hits + 1.920729410347062e0
    - 1.959963984540054e0 * sqrt(hits * (n - hits) / nullif(n, 0)::DOUBLE + 0.960364705173531e0))
    / nullif(n + 3.841458820694124e0, 3.841458820694124e0);
CREATE MACRO wilson_high(hits, n) AS (hits + 1.920729410347062e0
    + 1.959963984540054e0 * sqrt(hits * (n - hits) / nullif(n, 0)::DOUBLE + 0.960364705173531e0))
    / nullif(n + 3.841458820694124e0, 3.841458820694124e0);
CREATE MACRO difference_low(hits, n, others, n_others) AS hits / nullif(n, 0) - others / nullif(n_others, 0)
    - sqrt(pow(hits / nullif(n, 0) - wilson_low(hits, n), 2)
           + pow(wilson_high(others, n_others) - others / nullif(n_others, 0), 2));
CREATE MACRO difference_high(hits, n, others, n_others) AS hits / nullif(n, 0) - others / nullif(n_others, 0)
    + sqrt(pow(wilson_high(hits, n) - hits / nullif(n, 0), 2)
           + pow(others / nullif(n_others, 0) - wilson_low(others, n_others), 2));

-- Rules that tell a concept's texts: what those that were found on four fifths say of the other fifth.
CREATE VIEW detector AS
    SELECT d.fit_id, d.concept_id, fit.family, concept, site, position, form, neurons, layer, m.n, fit.n - m.n AS n_others,
           coverage_of(held_inside, m.n) AS coverage,
           wilson_low(held_inside, m.n) AS coverage_low, wilson_high(held_inside, m.n) AS coverage_high,
           leakage_of(held_others, m.n, fit.n) AS leakage,
           wilson_low(held_others, fit.n - m.n) AS leakage_low, wilson_high(held_others, fit.n - m.n) AS leakage_high,
           coverage_of(held_inside, m.n) - leakage_of(held_others, m.n, fit.n) AS youden_j,
           difference_low(held_inside, m.n, held_others, fit.n - m.n) AS youden_j_low,
           difference_high(held_inside, m.n, held_others, fit.n - m.n) AS youden_j_high,
           auc, auc_low, auc_high, 2 * held_inside / (held_inside + held_others + m.n) AS f1, f1_low, f1_high,
           held_inside / nullif(held_inside + held_others, 0) AS "precision",
           wilson_low(held_inside, held_inside + held_others) AS precision_low,
           wilson_high(held_inside, held_inside + held_others) AS precision_high, bias, threshold
    FROM _detector AS d JOIN fit ON fit.fit_id = d.fit_id JOIN concept AS c ON c.concept_id = d.concept_id
    JOIN fit_concept AS m ON m.fit_id = d.fit_id AND m.concept_id = d.concept_id;
CREATE VIEW detector_neuron AS
    SELECT d.fit_id, d.concept_id, fit.family, concept, site, position, form, neurons, place, layer, neuron, weight,
           lower, upper, mean, std
    FROM _detector_neuron AS d JOIN fit ON fit.fit_id = d.fit_id JOIN concept AS c ON c.concept_id = d.concept_id;

-- b: permutations; the labels as they are count as one more.
CREATE MACRO family_wise_p(largest, null_maxima) AS
    (1 + len(list_filter(null_maxima, lambda x: x >= largest))) / (1 + len(null_maxima));

-- How the best neuron of each concept compares with the best of as many neurons when labels mean nothing.
CREATE VIEW concept_significance AS
    WITH drawn AS (
        SELECT fit_id, concept_id, unnest(range(1, len(null_auc) + 1)) AS draw, unnest(null_auc) AS auc,
               unnest(null_interval) AS "interval" FROM _chance),
    by_draw AS (
        SELECT fit_id, concept_id, draw, max(auc) AS auc, max("interval") AS "interval" FROM drawn GROUP BY ALL),
    by_luck AS (
        SELECT fit_id, concept_id, list(auc ORDER BY auc) AS null_auc, list("interval" ORDER BY "interval")
               AS null_interval FROM by_draw GROUP BY ALL),
    best AS (SELECT fit_id, concept_id, max(auc) AS best_auc, max("interval") AS best_interval FROM _chance
             GROUP BY ALL)
    SELECT l.fit_id, l.concept_id, fit.family, c.concept, site, position, m.n, f.folds, f.permutations,
           best_auc, family_wise_p(best_auc, null_auc) AS auc_p, list_aggregate(null_auc, 'quantile_cont', 0.95)
           AS null_auc_95, best_interval, family_wise_p(best_interval, null_interval) AS interval_p,
           list_aggregate(null_interval, 'quantile_cont', 0.95) AS null_interval_95, mean_tokens, length_auc
    FROM best AS l JOIN fit ON fit.fit_id = l.fit_id JOIN concept AS c ON c.concept_id = l.concept_id
    JOIN fit_concept AS m ON m.fit_id = l.fit_id AND m.concept_id = l.concept_id
    LEFT JOIN by_luck AS b ON b.fit_id = l.fit_id AND b.concept_id = l.concept_id
    LEFT JOIN _interval_fit AS f ON f.fit_id = l.fit_id
    LEFT JOIN _concept_length AS t ON t.fit_id = l.fit_id AND t.concept_id = l.concept_id;

-- Facts of weights alone: of each vector, and of each neuron as a whole.
CREATE VIEW weight_fact AS
    SELECT weight, layer, neuron, norm, cosine_mean, cosine_std, cosine_skewness, cosine_kurtosis FROM _weight_fact;
CREATE VIEW neuron_fact AS
    SELECT f.layer, f.neuron, cos_in_out, cos_gate_out, cos_gate_in, io_class, null_share, frequency_correlation,
           group_id AS redundant_group, neurons AS redundant_neurons
    FROM _neuron_fact AS f LEFT JOIN _redundant AS r ON r.layer = f.layer AND r.neuron = f.neuron
    LEFT JOIN (SELECT group_id, count(*) AS neurons FROM _redundant GROUP BY group_id) USING (group_id);
CREATE VIEW nearest_neuron AS
    WITH flat AS (
        SELECT weight, layer, neuron, true AS same_layer, unnest(range(1, len(same_nid) + 1)) AS rank,
               unnest(same_nid) AS nid, unnest(same_cosine) AS cosine FROM _nearest
        UNION ALL
        SELECT weight, layer, neuron, false, unnest(range(1, len(other_nid) + 1)), unnest(other_nid),
               unnest(other_cosine) FROM _nearest)
    SELECT weight, layer, neuron, same_layer, rank, layer_of(nid) AS near_layer, neuron_of(nid) AS near_neuron, cosine
    FROM flat;

-- How much a token that stands in `places` of all `lists` tells: 0 where it stands in every list (inverse document
-- frequency, Sparck Jones 1972, with token lists for documents).
CREATE MACRO distinctiveness_of(places, lists) AS ln(lists::DOUBLE / nullif(places, 0));
CREATE VIEW token_places AS
    SELECT token_id, count(*) AS places, distinctiveness_of(count(*), (SELECT 2 * count(*) FROM _decoding)) AS distinctiveness
    FROM _posting GROUP BY token_id;

-- Running text. Which list of exemplars a row is (schema/exemplar_tables.py, KINDS).
CREATE MACRO _exemplar_kind(code) AS CASE WHEN code = 1 THEN 'top' WHEN code = 2 THEN 'bottom'
    WHEN code BETWEEN 3 AND 6 THEN 'band' WHEN code BETWEEN 7 AND 10 THEN 'quadrant' END;
CREATE MACRO _exemplar_part(code) AS CASE WHEN code BETWEEN 3 AND 6 THEN code - 2 WHEN code BETWEEN 7 AND 10
    THEN code - 6 ELSE 0 END;
-- The token that a window of `width` tokens begins with: a quarter of it comes after the exemplar's own, if there is
-- as much.
CREATE MACRO _window_start(pos, width, n_tokens, first) AS
    greatest(first, least(pos - width * 3 // 4, n_tokens - width));
CREATE MACRO _window_activations(windows, rank, width, scale) AS
    list_transform(range(1, width + 1), lambda i:
        (nullif(('0x' || substr(hex(windows), 2 * ((rank - 1) * width + i) - 1, 2))::INTEGER, 0) - 128) * scale::DOUBLE / 127);
CREATE VIEW exemplar AS
    WITH flat AS (
        SELECT site, layer, neuron, kind AS code, unnest(range(1, len(text_id) + 1))::INTEGER AS rank,
               unnest(text_id) AS text_id, unnest(position) AS position, unnest(value) AS value, scale, windows,
               CASE WHEN kind <= 2 THEN extreme_window WHEN kind <= 6 THEN band_window END AS width, first_token
        FROM _exemplar, _text_set AS s)
    SELECT site, layer, neuron, _exemplar_kind(code) AS kind, _exemplar_part(code)::TINYINT AS part, rank, text_id,
           position, value, v.token, source, document, n_tokens,
           _window_start(position, width, n_tokens, first_token) AS window_start,
           _window_activations(windows, rank, width, scale) AS activations
    FROM flat JOIN _text USING (text_id) LEFT JOIN vocab AS v ON v.token_id = _text.tokens[position + 1];
CREATE VIEW exemplar_text AS SELECT text_id, source, document, start, n_tokens, tokens FROM _text;
CREATE VIEW firing AS
    SELECT f.site, f.layer, f.neuron, coalesce(routed, s.tokens) AS n, mean, std, quantiles[1] AS min, quantiles[len(quantiles)] AS max,
           positive / coalesce(routed, s.tokens) AS share_positive, beyond / coalesce(routed, s.tokens) AS share_beyond, epsilon, position_correlation,
           quantiles::FLOAT[] AS quantiles, coalesce(routed_sampled, sampled) AS sampled,
           octave, histogram::INTEGER[] AS histogram,
           list_transform(quadrants::BIGINT[], lambda x: x / coalesce(routed, s.tokens)) AS quadrants,
           c.group_id AS correlated_group, neurons AS correlated_neurons
    FROM _firing AS f CROSS JOIN _text_set AS s
    LEFT JOIN _correlated AS c ON c.site = f.site AND c.layer = f.layer AND c.neuron = f.neuron
    LEFT JOIN (SELECT site, group_id, count(*) AS neurons FROM _correlated GROUP BY site, group_id) AS g
        ON g.site = c.site AND g.group_id = c.group_id;

-- What each neuron does for the logit of a concept's token on the concept's texts: computed, and checked by edits.
CREATE VIEW concept_attribution AS
    SELECT g.fit_id, g.concept_id, fit.family, c.concept, site, position, g.layer, g.neuron, t.token_id, token, whole,
           texts, gradient, gradient_std, attribution, attribution_std
    FROM _gradient AS g JOIN fit ON fit.fit_id = g.fit_id JOIN concept AS c ON c.concept_id = g.concept_id
    JOIN _gradient_target AS t ON t.fit_id = g.fit_id AND t.concept_id = g.concept_id
    JOIN vocab AS v ON v.token_id = t.token_id;
CREATE VIEW gradient_check AS
    SELECT k.fit_id, fit.family, site, position, rule, edit, k.n, pearson, spearman, sample, texts
    FROM _gradient_check AS k JOIN fit ON fit.fit_id = k.fit_id JOIN _gradient_fit AS f ON f.fit_id = k.fit_id;
CREATE VIEW gradient_sample AS
    SELECT s.fit_id, s.concept_id, fit.family, c.concept, site, position, place, text_hash, layer, neuron, activation,
           gradient, gradient_attribution, relp, relp_attribution, set_0, add_2, set_20
    FROM _gradient_sample AS s JOIN fit ON fit.fit_id = s.fit_id JOIN concept AS c ON c.concept_id = s.concept_id;

-- Pattern graphs. F1 of counts: of what is found, wrongly said and missed.
CREATE VIEW graph AS
    SELECT site, layer, neuron, sign, largest, len(token) AS nodes, exemplars, held_exemplars, held_random,
           held_found, held_wrong, held_missed, held_tokens,
           held_found / nullif(held_found + held_wrong, 0) AS held_precision,
           held_found / nullif(held_found + held_missed, 0) AS held_recall,
           2 * held_found / nullif(2 * held_found + held_wrong + held_missed, 0) AS held_f1,
           train_found, train_wrong, train_missed, train_tokens,
           2 * train_found / nullif(2 * train_found + train_wrong + train_missed, 0) AS train_f1
    FROM _graph;
CREATE VIEW graph_node AS
    SELECT site, layer, neuron, node, parent, g.token_id, v.token, CASE WHEN n > 0 THEN value END AS value, n
    FROM (SELECT site, layer, neuron, unnest(range(len(token))) AS node, unnest(parent) AS parent,
                 unnest(token) AS token_id, unnest(value) AS value, unnest(n) AS n FROM _graph) AS g
    LEFT JOIN vocab AS v ON v.token_id = g.token_id;
