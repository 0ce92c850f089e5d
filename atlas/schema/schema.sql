-- The atlas file. A name with a leading underscore is layout and may change between schema versions;
-- a name without one is the contract (docs/schema.md). {top}, {bins}, {d_model}, {n_layers}, {width}
-- are integers filled in when a file is made.

CREATE TYPE weight_t AS ENUM ('up_proj', 'gate_proj', 'down_proj');

CREATE TABLE atlas (
    atlas_id VARCHAR NOT NULL, schema_version INTEGER NOT NULL, created_at TIMESTAMP NOT NULL,
    software VARCHAR NOT NULL, model_id VARCHAR NOT NULL, fingerprint VARCHAR NOT NULL,
    family VARCHAR NOT NULL, architecture VARCHAR NOT NULL, hidden_act VARCHAR NOT NULL, gated BOOLEAN NOT NULL,
    n_layers INTEGER NOT NULL, d_model INTEGER NOT NULL, d_mlp INTEGER NOT NULL, d_vocab INTEGER NOT NULL,
    add_bos BOOLEAN NOT NULL, decoding_mode VARCHAR, top INTEGER NOT NULL, bins INTEGER NOT NULL);

CREATE TABLE run (
    run_id INTEGER NOT NULL, builder VARCHAR NOT NULL, parameters VARCHAR NOT NULL, versions VARCHAR NOT NULL,
    device VARCHAR NOT NULL, dtype VARCHAR NOT NULL, started_at TIMESTAMP NOT NULL, finished_at TIMESTAMP);

CREATE TABLE vocab (token_id INTEGER NOT NULL, token VARCHAR NOT NULL, norm FLOAT NOT NULL);
CREATE TABLE _token_form (form VARCHAR NOT NULL, token_id INTEGER NOT NULL);

CREATE TABLE _decoding (
    nid INTEGER NOT NULL, weight weight_t NOT NULL, layer INTEGER NOT NULL, neuron INTEGER NOT NULL,
    norm FLOAT NOT NULL, raised_lse FLOAT NOT NULL, lowered_lse FLOAT NOT NULL,
    raised_token INTEGER[{top}] NOT NULL, raised_logit FLOAT[{top}] NOT NULL,
    lowered_token INTEGER[{top}] NOT NULL, lowered_logit FLOAT[{top}] NOT NULL);
CREATE TABLE _posting (
    token_id INTEGER NOT NULL, sign TINYINT NOT NULL, nid INTEGER NOT NULL, rank SMALLINT NOT NULL,
    logit FLOAT NOT NULL);
CREATE TABLE neuron_vector (
    weight weight_t NOT NULL, layer INTEGER NOT NULL, neuron INTEGER NOT NULL, vector FLOAT[{d_model}] NOT NULL);

CREATE TABLE concept (
    concept_id INTEGER NOT NULL, family VARCHAR NOT NULL, concept VARCHAR NOT NULL, n_examples INTEGER NOT NULL);
CREATE TABLE fit (
    fit_id INTEGER NOT NULL, run_id INTEGER NOT NULL, family VARCHAR NOT NULL, site VARCHAR NOT NULL,
    position VARCHAR NOT NULL, template VARCHAR NOT NULL, width INTEGER NOT NULL, n INTEGER NOT NULL,
    taus DOUBLE[] NOT NULL, corpus_sha256 VARCHAR NOT NULL);
CREATE TABLE fit_concept (fit_id INTEGER NOT NULL, concept_id INTEGER NOT NULL, n INTEGER NOT NULL);
CREATE TABLE _fit_example (fit_id INTEGER NOT NULL, text_hash UBIGINT NOT NULL);
CREATE TABLE _gaussian (
    fit_id INTEGER NOT NULL, concept_id INTEGER NOT NULL, layer INTEGER NOT NULL, neuron INTEGER NOT NULL,
    n INTEGER NOT NULL, mean FLOAT NOT NULL, std FLOAT NOT NULL, skewness FLOAT, kurtosis FLOAT,
    min FLOAT NOT NULL, max FLOAT NOT NULL, mean_abs FLOAT NOT NULL, ks FLOAT,
    twice_u BIGINT NOT NULL, dprime FLOAT, overlap FLOAT);
CREATE TABLE _background (
    fit_id INTEGER NOT NULL, layer INTEGER NOT NULL, neuron INTEGER NOT NULL,
    n INTEGER NOT NULL, mean FLOAT NOT NULL, std FLOAT NOT NULL, skewness FLOAT, kurtosis FLOAT,
    min FLOAT NOT NULL, max FLOAT NOT NULL, mean_abs FLOAT NOT NULL, ks FLOAT);
CREATE TABLE _range (
    fit_id INTEGER NOT NULL, concept_id INTEGER NOT NULL, tau DOUBLE NOT NULL, layer INTEGER NOT NULL,
    neuron INTEGER NOT NULL, inside INTEGER NOT NULL, others_inside INTEGER NOT NULL,
    worst_concept_id INTEGER, worst_inside INTEGER);
CREATE TABLE _histogram (
    fit_id INTEGER NOT NULL, layer INTEGER NOT NULL, neuron INTEGER NOT NULL, concept_id INTEGER NOT NULL,
    counts INTEGER[{bins}] NOT NULL);

-- What was published, so that damage shows: of every column of every table, and of every definition. docs/schema.md.
CREATE TABLE _digest (object VARCHAR NOT NULL, part VARCHAR NOT NULL, rows BIGINT, crc32 UINTEGER NOT NULL);
