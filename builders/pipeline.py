"""A whole build: model and corpora in, a published atlas out, or nothing changed.

Stages: read the corpora (cheap, so a wrong file fails first), load and validate the model, decode, fit each
corpus, publish. All of it lands in the staging area unit by unit, so a killed build resumes to the same rows.
"""

from __future__ import annotations

import json
import platform
import re
import uuid
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from atlas.errors import BuildError, UsageError
from atlas.manifest import SCHEMA_VERSION, Manifest, software_version, utc_now
from atlas.schema.statements import Layout
from atlas.store.publish import publish
from atlas.store.reader import open_atlas
from atlas.store.staging import Staging
from builders.config import BuildConfig, layers_of
from builders.corpora.base import Corpus
from builders.corpora.registry import load_corpus
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
    base = _existing(config, existing)
    if base is not None:
        config = _fitted_to(config, base)
    corpora = _read_corpora(config)
    report = BuildReport(config.target, [note for corpus in corpora for note in corpus.notes])
    with Staging(config.target) as staging:
        resuming = _may_start(staging, interrupted)
        try:
            live = _load(config, base)
            layers_of(config, live.n_layers)
            if resuming:
                staging.resume(_identity(config, live, corpora, base))
            else:
                _start(staging, config, live, corpora, base)
        except BaseException:
            if not resuming:
                staging.discard()  # nothing was computed yet
            raise
        _decode(live, staging, config, report, progress)
        _fit(live, staging, config, corpora, report, progress)
        with progress.task("publishing", 1) as advance:
            publish(staging, _manifest(live, config, base), memory=f"{config.memory // 10**6}MB")
            advance(1)
        staging.discard()
    return report


def _existing(config: BuildConfig, existing: str) -> Manifest | None:
    """The manifest of the atlas to add to, or None for a new one. Raises UsageError when unsure."""
    if not config.target.parent.is_dir():
        raise UsageError(f"there is no folder {config.target.parent}", "Make it, or correct -o.")
    if existing == "add":
        with open_atlas(config.target) as atlas:
            return atlas.manifest
    if config.target.exists() and existing == "refuse":
        raise UsageError(f"{config.target} exists", "Use --replace to build it anew or --add to keep its other rows.")
    return None


def _fitted_to(config: BuildConfig, base: Manifest) -> BuildConfig:
    """When adding, list lengths that other rows already have cannot change."""
    top = config.top if config.decode else base.top
    return replace(config, top=top, bins=base.bins)


def _read_corpora(config: BuildConfig) -> list[Corpus]:
    corpora = [
        load_corpus(
            source.source, family=source.family, limit_per_concept=config.limit_per_concept, **config.corpus_options
        )
        for source in config.concepts
    ]
    for corpus in corpora:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", corpus.family):
            raise UsageError(f"{corpus.family!r} cannot name a family", "Name it with letters, digits, _ . -")
    names = [corpus.family for corpus in corpora]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two corpora are called {name!r}", "Name them: --concepts FAMILY=FILE.")
    return corpora


def _may_start(staging: Staging, interrupted: str) -> bool:
    """Whether to resume. Raises UsageError when there is something to resume and nothing was said."""
    found = staging.interrupted()
    if found and interrupted == "refuse":
        raise UsageError(
            f"an unfinished build of {staging.target} is there", "Continue it with --resume or drop it with --restart."
        )
    return found and interrupted == "resume"


def _load(config: BuildConfig, base: Manifest | None) -> LiveModel:
    from atlas.live.loading import load  # torch: only now

    live = load(config.model, device=config.device, dtype=config.dtype)
    if base is not None and base.fingerprint != live.fingerprint:
        raise BuildError(
            f"{config.target} describes another model ({base.model_id}, {base.fingerprint[:19]}...)",
            "Build to another file.",
        )
    return live


def _identity(config: BuildConfig, live: LiveModel, corpora: list[Corpus], base: Manifest | None) -> dict:
    return {
        **config.parameters(),
        "fingerprint": live.fingerprint,
        "device": str(live.device),
        "dtype": str(live.dtype).removeprefix("torch."),
        "corpora": [corpus.sha256 for corpus in corpora],
        "base": None if base is None else base.atlas_id,
    }


def _start(
    staging: Staging, config: BuildConfig, live: LiveModel, corpora: list[Corpus], base: Manifest | None
) -> None:
    layout = Layout(config.top, config.bins, live.d_model, live.n_layers, live.d_mlp)
    skip = ("vocab", "_decoding", "neuron_vector") if config.decode else ("vocab",)
    seed = config.target if base is not None else None
    staging.start(layout, _identity(config, live, corpora, base), seed, skip)
    for corpus in corpora:
        staging.execute_once(f"forget/{corpus.family}", _forget(staging, corpus, config))


def _forget(staging: Staging, corpus: Corpus, config: BuildConfig) -> list[tuple[str, list]]:
    """Statements that drop what this corpus replaces: the same site and position, or an older text of the family."""
    fits = staging.rows("SELECT fit_id, site, position, corpus_sha256 FROM fit WHERE family = ?", [corpus.family])
    changed = any(sha256 != corpus.sha256 for *_, sha256 in fits)
    gone = [fit for fit, site, at, _ in fits if changed or (site in config.sites and at == config.position)]
    tables = ("_gaussian", "_background", "_range", "_histogram", "fit_concept", "fit")
    statements = [(f"DELETE FROM {table} WHERE fit_id = ANY(?)", [gone]) for table in tables]
    if len(gone) == len(fits):
        statements.append(("DELETE FROM concept WHERE family = ?", [corpus.family]))
    return statements


def _decode(live: LiveModel, staging: Staging, config: BuildConfig, report: BuildReport, progress: Silent) -> None:
    from atlas.live.vocabulary import vocabulary
    from builders.decode import decode, write_vocabulary

    tokens = vocabulary(live.tokenizer, live.d_vocab)
    write_vocabulary(staging, live.unembedding(), tokens)
    if not config.decode:
        return
    weights = list(config.weights or live.weights())
    for weight in weights:
        live.weight(weight, 0)  # refuses, by name, what the family does not have
    _begin_run(staging, "decode", live, {"weights": weights, "mode": config.mode, "top": config.top})
    with progress.task("decoding", len(weights) * live.n_layers * live.d_mlp) as advance:
        n_fallback = decode(
            live, staging, [token_id for token_id, _ in tokens], weights=weights, mode=config.mode, top=config.top,
            memory_bytes=config.memory // 8, keep_vectors=config.keep_vectors, advance=advance,
        )  # fmt: skip
    if n_fallback:
        report.notes.append(f"{n_fallback} decodings had near ties and were searched in float64")
    _end_run(staging, "decode")


def _fit(
    live: LiveModel, staging: Staging, config: BuildConfig, corpora: list[Corpus], report: BuildReport,
    progress: Silent,
) -> None:  # fmt: skip
    from builders.fits import fit_corpus

    for source, corpus in zip(config.concepts, corpora, strict=True):
        name = f"gaussians/{corpus.family}"
        parameters = {
            **vars(source), **config.corpus_options, "family": corpus.family, "sites": list(config.sites),
            "position": config.position, "taus": list(config.taus), "max_tokens": config.max_tokens,
            "batch_tokens": config.batch_tokens, "limit_per_concept": config.limit_per_concept,
            "corpus_sha256": corpus.sha256,
        }  # fmt: skip
        run_id = _begin_run(staging, name, live, parameters)
        report.notes += fit_corpus(live, staging, corpus, source, config, run_id, progress)
        _end_run(staging, name)


def _begin_run(staging: Staging, name: str, live: LiveModel, parameters: dict) -> int:
    """A row of `run`, written once per build; returns its id."""
    state = staging.read_state(f"run/{name}")
    if state is not None:
        return int(state)
    run_id = staging.rows("SELECT coalesce(max(run_id) + 1, 1) FROM run")[0][0]
    versions = {name: metadata.version(name) for name in ("torch", "transformers", "duckdb", "numpy")}
    versions |= {"python": platform.python_version(), "software": software_version()}
    row = [
        run_id, name.partition("/")[0], json.dumps(parameters), json.dumps(versions), str(live.device),
        str(live.dtype).removeprefix("torch."), utc_now(),
    ]  # fmt: skip
    insert = ("INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, ?, NULL)", row)
    staging.execute_once(f"run/{name}", [insert], state=(f"run/{name}", str(run_id)))
    return run_id


def _end_run(staging: Staging, name: str) -> None:
    run_id = int(staging.read_state(f"run/{name}") or 0)
    staging.execute_once(f"end/{name}", [("UPDATE run SET finished_at = ? WHERE run_id = ?", [utc_now(), run_id])])


def _manifest(live: LiveModel, config: BuildConfig, base: Manifest | None) -> Manifest:
    kept_mode = base.decoding_mode if base is not None else None
    return Manifest(
        atlas_id=uuid.uuid4().hex, schema_version=SCHEMA_VERSION, created_at=utc_now(), software=software_version(),
        model_id=live.model_id, fingerprint=live.fingerprint, family=live.adapter.family,
        architecture=live.architecture, hidden_act=live.hidden_act, gated=live.gated, n_layers=live.n_layers,
        d_model=live.d_model, d_mlp=live.d_mlp, d_vocab=live.d_vocab, add_bos=live.add_bos,
        decoding_mode=config.mode if config.decode else kept_mode, top=config.top, bins=config.bins,
    )  # fmt: skip
