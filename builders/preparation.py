"""Before the work of a build: what is there already, what may be resumed, what the corpora are."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from atlas.errors import UsageError
from atlas.manifest import Manifest
from atlas.schema.statements import Layout
from atlas.store.reader import open_atlas
from atlas.store.staging import Staging
from builders.config import BuildConfig
from builders.corpora.base import Corpus
from builders.corpora.registry import load_corpus

if TYPE_CHECKING:
    from atlas.live.model import LiveModel


def base_of(config: BuildConfig, existing: str) -> Manifest | None:
    """The manifest of the atlas to add to, or None for a new one. Raises UsageError when unsure."""
    if not config.target.parent.is_dir():
        raise UsageError(f"there is no folder {config.target.parent}", "Make it, or correct -o.")
    if config.target.is_dir():
        raise UsageError(f"{config.target} is a folder", "Name the file to write.")
    if existing == "add":
        with open_atlas(config.target) as atlas:
            return atlas.manifest
    if config.target.exists() and existing == "refuse":
        raise UsageError(f"{config.target} exists", "Use --replace to build it anew or --add to keep its other rows.")
    return None


def fitted_to(config: BuildConfig, base: Manifest) -> BuildConfig:
    """When adding, list lengths that other rows already have cannot change."""
    top = config.top if config.decode else base.top
    return replace(config, top=top, bins=base.bins)


def read_corpora(config: BuildConfig) -> list[Corpus]:
    """All corpora of the build. Raises CorpusError, or UsageError for names that clash or cannot name a folder."""
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


def may_resume(staging: Staging, interrupted: str) -> bool:
    """Whether to resume. Raises UsageError when there is something to resume and nothing was said."""
    found = staging.interrupted()
    if found and interrupted == "refuse":
        raise UsageError(
            f"an unfinished build of {staging.target} is there", "Continue it with --resume or drop it with --restart."
        )
    return found and interrupted == "resume"


def identity(config: BuildConfig, live: LiveModel, corpora: list[Corpus], base: Manifest | None) -> dict[str, Any]:
    """All that decides the rows of this build; a resumed build must have the same."""
    return {
        **config.parameters(),
        "fingerprint": live.fingerprint,
        "device": str(live.device),
        "dtype": str(live.dtype).removeprefix("torch."),
        "corpora": [corpus.sha256 for corpus in corpora],
        "base": None if base is None else base.atlas_id,
    }


def start(staging: Staging, config: BuildConfig, live: LiveModel, corpora: list[Corpus], base: Manifest | None) -> None:
    """Begin a new staging area: empty, or with the rows of the atlas to add to."""
    layout = Layout(config.top, config.bins, live.d_model, live.n_layers, live.d_mlp)
    skip = ("vocab", "_decoding", "neuron_vector") if config.decode else ("vocab",)
    seed = config.target if base is not None else None
    staging.start(layout, identity(config, live, corpora, base), seed, skip)


def forget(staging: Staging, corpus: Corpus, config: BuildConfig) -> None:
    """Drop, once, what this corpus replaces: the same site and position, or an older text of the family."""
    fits = staging.rows("SELECT fit_id, site, position, corpus_sha256 FROM fit WHERE family = ?", [corpus.family])
    changed = any(sha256 != corpus.sha256 for *_, sha256 in fits)
    gone = [fit for fit, site, at, _ in fits if changed or (site in config.sites and at == config.position)]
    tables = ("_gaussian", "_background", "_range", "_histogram", "fit_concept", "fit")
    statements = [(f"DELETE FROM {table} WHERE fit_id = ANY(?)", [gone]) for table in tables]
    if len(gone) == len(fits):
        statements.append(("DELETE FROM concept WHERE family = ?", [corpus.family]))
    staging.execute_once(f"forget/{corpus.family}", statements)
