"""A whole build: model and corpora in, a published atlas out, or nothing changed.

Stages: read the corpora (cheap, so a wrong file fails first), load and validate the model, make every product that is
wanted, publish. All of it lands in the staging area unit by unit, so a killed build resumes to the same rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from atlas.manifest import Manifest
from atlas.store.files import refused_writes
from atlas.store.publish import publish
from atlas.store.staging import Staging
from atlas.whole_file import real_place, writing_to
from builders.activations.storage import check_blocks, storage_of
from builders.build.fitting import fitted_to_model
from builders.build.inputs import identity, load_model, prepare, read_corpora
from builders.build.job import Making, Source
from builders.build.make import make
from builders.build.plan import Plan
from builders.build.product import Product
from builders.build.products import wanted
from builders.build.target import (
    PUBLISHING,
    base_of,
    completed,
    fitted_to,
    manifest_of,
    may_resume,
    require_state,
    start,
    state_of,
)
from builders.build.vocabulary import write_vocabulary
from builders.config import BuildConfig
from builders.corpora.base import Corpus
from builders.progress import Silent
from builders.workers.open import check_workers, import_early, pool_for


@dataclass
class BuildReport:
    """What a build did: the published file, and what the user should hear."""

    path: Path
    notes: list[str] = field(default_factory=list)


def build(
    config: BuildConfig,
    *,
    existing: str = "refuse",
    interrupted: str = "refuse",
    progress: Silent | None = None,
    workers: str | int | None = None,
    blocks: str | None = None,
    source: Source | None = None,
) -> BuildReport:
    """Build and publish the atlas `config.target`.

    `existing` says what to do with a file of that name: refuse, replace, or add (keep its other rows).
    `interrupted` says what to do with an unfinished build: refuse, resume, or restart.
    `workers` says who makes it: None, this process alone; N processes of this machine; or "ray[:ADDRESS]". The rows are
    the same. `blocks`: the folder or URL where workers that share no disk with this process leave activations for each
    other. `source`: units that are made already (builders/shards).
    Raises BuildError, ModelError, CorpusError, UsageError or AtlasFileError; the old file is then untouched.
    """
    progress = progress or Silent()
    check_workers(workers)
    blocks = check_blocks(blocks, workers=workers is not None)
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
        import_early(workers, config.device)
        begun = begin(config, staging, base, corpora, progress, resuming=resuming, source=source)
        plan, products = begun.plan, begun.products
        storage = storage_of(blocks, [reading.family for reading in plan.readings], staging)
        making = Making(source=source, storage=storage)
        with pool_for(workers, plan, products, staging, progress, storage) as making.pool:
            report.notes += [*plan.notes(), *make(plan, products, staging, progress, making)]
        with progress.task("publishing", 1) as advance:
            manifest = manifest_of(plan, products, base)
            staging.write_state(PUBLISHING, manifest.atlas_id)
            publish(
                staging,
                manifest,
                memory=f"{config.memory // 10**6}MB",
                allowed=lambda: require_state(config.target, before),
            )
            advance(1)
        if storage is not None:
            storage.remove()
        staging.discard()
    return report


@dataclass(frozen=True)
class Begun:
    """A build whose staging area is there. `parameters`: what decides its rows."""

    plan: Plan
    products: list[Product]
    parameters: dict[str, Any]


def begin(
    config: BuildConfig,
    staging: Staging,
    base: Manifest | None,
    corpora: Sequence[Corpus],
    progress: Silent,
    *,
    resuming: bool,
    source: Source | None = None,
) -> Begun:
    """Load the model, meet what cannot be made, and begin or resume the staging area. Nothing is left of what fails."""
    try:
        with progress.task("loading the model", 1):
            live = load_model(config, base, wanted(config))
            asked, config = config, fitted_to_model(config, live)
        products = wanted(config)
        with progress.task("reading the texts as tokens", 1):
            plan = prepare(config, live, corpora, products)
        parameters = identity(asked, plan, products, base)
        if source is not None:
            source.require(parameters)
        if resuming:
            staging.resume(parameters)
        else:
            start(staging, plan, products, parameters, base)
    except BaseException:
        if not resuming:
            staging.discard()  # nothing was computed yet
        raise
    write_vocabulary(staging, plan)
    return Begun(plan, products, parameters)
