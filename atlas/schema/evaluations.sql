-- FILE.evaluations.duckdb: what evaluations of specs found, beside the atlas FILE.duckdb. docs/evaluation.md.

CREATE TABLE evaluations_file (schema_version INTEGER NOT NULL, created_at TIMESTAMP NOT NULL);

CREATE TABLE spec (spec_hash VARCHAR NOT NULL, spec VARCHAR NOT NULL);

CREATE TABLE evaluation (
    evaluation_id VARCHAR NOT NULL, sweep_id VARCHAR, atlas_id VARCHAR NOT NULL,
    model_id VARCHAR NOT NULL, fingerprint VARCHAR NOT NULL, spec_hash VARCHAR NOT NULL, target VARCHAR NOT NULL,
    rule VARCHAR, top INTEGER, op VARCHAR, bounds VARCHAR, tau DOUBLE, sites VARCHAR NOT NULL, positions VARCHAR NOT NULL,
    n_edits INTEGER NOT NULL, corpus VARCHAR NOT NULL, corpus_sha256 VARCHAR NOT NULL, template VARCHAR NOT NULL,
    labels VARCHAR NOT NULL, n_shots INTEGER NOT NULL, other_text VARCHAR, seed BIGINT NOT NULL,
    bootstrap INTEGER NOT NULL, n_used INTEGER NOT NULL, n_dropped INTEGER NOT NULL,
    software VARCHAR NOT NULL, device VARCHAR NOT NULL, dtype VARCHAR NOT NULL,
    started_at TIMESTAMP NOT NULL, seconds DOUBLE NOT NULL);

CREATE TABLE score (
    evaluation_id VARCHAR NOT NULL, arm VARCHAR NOT NULL, metric VARCHAR NOT NULL, text_group VARCHAR NOT NULL,
    value DOUBLE NOT NULL, ci_low DOUBLE, ci_high DOUBLE,
    drop_value DOUBLE, drop_low DOUBLE, drop_high DOUBLE, n INTEGER NOT NULL);
