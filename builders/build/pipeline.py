"""A whole build: model and corpora in, a published atlas out, or nothing changed.

Stages: read the corpora (cheap, so a wrong file fails first), load and validate the model, decode, fit each
corpus, publish. All of it lands in the staging area unit by unit, so a killed build resumes to the same rows.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from atlas.errors import BuildError
from atlas.manifest import SCHEMA_VERSION, Manifest, software_version, utc_now, versions
from atlas.model_place import remembered
from atlas.store.files import refused_writes
from atlas.store.publish import publish
from atlas.store.staging import Staging
from atlas.whole_file import real_place, writing_to
from builders.config import BuildConfig
from builders.corpora.base import Corpus
from builders.preparation import (
    PUBLISHING,
    Inputs,
    base_of,
    completed,
    fitted_to,
    forget,
    forget_decodings,
    identity,
    may_resume,
    prepare,
    read_corpora,
    require_state,
    start,
    state_of,
)
from builders.progress import Silent

if TYPE_CHECKING:
    from atlas.live.model import LiveModel


@dataclass
class BuildReport:
    """What a build did: the published file, and what the user should hear."""

    path: Path
    notes: list[str] = field(default_factory=list)


def build(
    config: BuildConfig, *, existing: str = "refuse", interrupted: str = "refuse", progress: Silent | None = None
) -> BuildReport:
    """Build and publish the atlas `config.target`.

    `existing` says what to do with a file of that name: refuse, replace, or add (keep its other rows).
    `interrupted` says what to do with an unfinished build: refuse, resume, or restart.
    Raises BuildError, ModelError, CorpusError, UsageError or AtlasFileError; the old file is then untouched.
    """
    progress = progress or Silent()
    with writing_to(config.target):
        place = real_place(config.target)  # also asks whether a file can have this name
    if config.target.is_symlink():  # it stays one: what it points to is replaced
        config = replace(config, target=place)
    if interrupted == "resume" and completed(config):
        return BuildReport(config.target)
    base, before = base_of(config, existing), state_of(config.target)
    config = fitted_to(config, base)
    with progress.task("reading the corpora", 1):
        corpora = read_corpora(config)
    report = BuildReport(config.target, [note for corpus in corpora for note in corpus.notes])
    with Staging(config.target) as staging, refused_writes(config.target):
        resuming = may_resume(staging, interrupted)
        try:
            with progress.task("loading the model", 1):
                live = _load(config, base)
            with progress.task("reading the texts as tokens", 1):
                inputs = prepare(config, live, corpora)
            parameters = identity(config, live, corpora, inputs, base)
            if resuming:
                staging.resume(parameters)
            else:
                start(staging, config, live, parameters, base)
        except BaseException:
            if not resuming:
                staging.discard()  # nothing was computed yet
            raise
        _decode(live, staging, config, inputs, report, progress)
        _fit(live, staging, config, corpora, inputs, report, progress)
        with progress.task("publishing", 1) as advance:
            manifest = _manifest(live, config, base)
            staging.write_state(PUBLISHING, manifest.atlas_id)
            publish(
                staging,
                manifest,
                memory=f"{config.memory // 10**6}MB",
                allowed=lambda: require_state(config.target, before),
            )
            advance(1)
        staging.discard()
    return report


def _load(config: BuildConfig, base: Manifest | None) -> LiveModel:
    from atlas.live.loading import load  # torch: only now

    live = load(config.model, device=config.device, dtype=config.dtype)
    if base is not None and base.fingerprint != live.fingerprint:
        raise BuildError(
            f"{config.target} describes another model ({base.model_id}, {base.fingerprint[:19]}...)",
            "Build to another file.",
        )
    return live


def _decode(
    live: LiveModel, staging: Staging, config: BuildConfig, inputs: Inputs, report: BuildReport, progress: Silent
) -> None:
    from builders.decoding.decode import decode, write_vocabulary

    tokens, weights = inputs.tokens, inputs.weights
    write_vocabulary(staging, live.unembedding(), tokens)
    if not config.decode:
        return
    forget_decodings(staging, weights, config)
    _begin_run(staging, "decode", live, {"weights": weights, "mode": config.mode, "top": config.top})
    with progress.task("decoding", len(weights) * live.n_layers * live.d_mlp) as advance:
        n_fallback = decode(
            live,
            staging,
            [token_id for token_id, _ in tokens],
            weights=weights,
            mode=config.mode,
            top=config.top,
            memory_bytes=config.memory // 8,
            keep_vectors=config.keep_vectors,
            advance=advance,
        )
    if n_fallback:
        report.notes.append(f"{n_fallback} decodings had near ties and were searched in float64")
    _end_run(staging, "decode")


def _fit(
    live: LiveModel,
    staging: Staging,
    config: BuildConfig,
    corpora: list[Corpus],
    inputs: Inputs,
    report: BuildReport,
    progress: Silent,
) -> None:
    from builders.gaussians.fits import fit_corpus

    for source, corpus, examples in zip(config.concepts, corpora, inputs.examples, strict=True):
        forget(staging, corpus, config)
        name = f"gaussians/{corpus.family}"
        parameters = {
            **vars(source),
            **config.corpus_options,
            "family": corpus.family,
            "sites": list(config.sites),
            "position": config.position,
            "pool": config.pooled(),
            "taus": list(config.taus),
            "max_tokens": config.max_tokens,
            "batch_tokens": config.batch_tokens,
            "limit_per_concept": config.limit_per_concept,
            "holdout": config.holdout,
            "corpus_sha256": corpus.sha256,
        }
        run_id = _begin_run(staging, name, live, parameters)
        report.notes += fit_corpus(live, staging, corpus, examples, source, config, run_id, progress)
        _end_run(staging, name)


def _begin_run(staging: Staging, name: str, live: LiveModel, parameters: dict) -> int:
    """A row of `run`, written once per build; returns its id."""
    state = staging.read_state(f"run/{name}")
    if state is not None:
        return int(state)
    run_id = staging.rows("SELECT coalesce(max(run_id) + 1, 1) FROM run")[0][0]
    row = [
        run_id,
        name.partition("/")[0],
        json.dumps(parameters),
        json.dumps(versions("torch", "transformers", "duckdb", "numpy")),
        str(live.device),
        str(live.dtype).removeprefix("torch."),
        utc_now(),
    ]
    insert = ("INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, ?, NULL)", row)
    staging.execute_once(f"run/{name}", [insert], state=(f"run/{name}", str(run_id)))
    return run_id


def _end_run(staging: Staging, name: str) -> None:
    run_id = int(staging.read_state(f"run/{name}") or 0)
    staging.execute_once(f"end/{name}", [("UPDATE run SET finished_at = ? WHERE run_id = ?", [utc_now(), run_id])])


def _manifest(live: LiveModel, config: BuildConfig, base: Manifest | None) -> Manifest:
    kept_mode = base.decoding_mode if base is not None else None
    source = live.source
    # The name of a packaged model says where it is, on any machine.
    known = None if source is None or source.packaged else source.path
    model_path, model_beside = remembered(known, config.target)
    return Manifest(
        atlas_id=uuid.uuid4().hex,
        schema_version=SCHEMA_VERSION,
        created_at=utc_now(),
        software=software_version(),
        model_id=live.model_id,
        fingerprint=live.fingerprint,
        family=live.adapter.family,
        architecture=live.architecture,
        hidden_act=live.hidden_act,
        gated=live.gated,
        n_layers=live.n_layers,
        d_model=live.d_model,
        d_mlp=live.d_mlp,
        d_vocab=live.d_vocab,
        add_bos=live.add_bos,
        decoding_mode=config.mode if config.decode else kept_mode,
        top=config.top,
        bins=config.bins,
        model_path=model_path,
        model_beside=model_beside,
    )
