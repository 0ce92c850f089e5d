"""Make one shard of a build, and put all of them together."""

from __future__ import annotations

import re
from pathlib import Path

from atlas.errors import UsageError
from atlas.store.staging import Staging
from atlas.whole_file import real_place, writing_to
from builders.activations.storage import check_blocks, storage_of
from builders.build.inputs import read_corpora
from builders.build.job import Making, Share
from builders.build.make import make
from builders.build.pipeline import BuildReport, begin, build
from builders.build.target import fitted_to, may_resume
from builders.config import BuildConfig
from builders.progress import Silent
from builders.shards.folder import ShardStore, shard_folder
from builders.shards.read import read_shards
from builders.workers.open import check_workers, import_early, pool_for

MOST = 10_000


def parse_share(text: str) -> Share:
    """'1/4' -> Share(1, 4). Raises UsageError."""
    match = re.fullmatch(r"([0-9]{1,5})/([0-9]{1,5})", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]) <= MOST:
        raise UsageError(f"--shard {text[:60]!r} is none of 1/N to N/N, with N at most {MOST}", "Write --shard 1/4.")
    return Share(int(match[1]), int(match[2]))


def build_shard(
    config: BuildConfig,
    share: Share,
    *,
    existing: str = "refuse",
    interrupted: str = "refuse",
    progress: Silent | None = None,
    workers: str | int | None = None,
    blocks: str | None = None,
) -> BuildReport:
    """Make the units of `share` into a folder beside `config.target`, which nothing is written to.

    Raises what `build` raises, and UsageError for an addition to an atlas.
    """
    progress = progress or Silent()
    check_workers(workers)
    blocks = check_blocks(blocks, workers=workers is not None)
    with writing_to(config.target):
        real_place(config.target)  # asks whether a file can have this name
    if existing == "add":
        raise UsageError("--shard is of a whole build, not of an addition", "Leave --add out.")
    folder = shard_folder(config.target, share)
    store = ShardStore(folder)
    if store.complete():
        if interrupted == "resume":
            return BuildReport(folder)
        if existing != "replace":
            raise UsageError(f"{folder} exists", "Use --replace to build it anew.")
    if not folder.parent.is_dir():
        raise UsageError(f"there is no folder {folder.parent}", "Make it, or correct -o.")
    config = fitted_to(config, None)
    with progress.task("reading the corpora", 1):
        corpora = read_corpora(config)
    report = BuildReport(folder, [note for corpus in corpora for note in corpus.notes])
    with Staging(folder) as staging:
        resuming = may_resume(staging, interrupted)
        if not resuming:
            store.clear()
        import_early(workers, config.device)
        begun = begin(config, staging, None, corpora, progress, resuming=resuming)
        storage = storage_of(blocks, [reading.family for reading in begun.plan.readings], staging)
        making = Making(share=share, store=store, storage=storage)
        with pool_for(workers, begun.plan, begun.products, staging, progress, storage) as making.pool:
            report.notes += [*begun.plan.notes(), *make(begun.plan, begun.products, staging, progress, making)]
        store.finish(share, config, begun.parameters, making.ids)
        if storage is not None:
            storage.remove()
        staging.discard()
    return report


def merge(
    folders: list[Path],
    target: Path,
    *,
    existing: str = "refuse",
    interrupted: str = "refuse",
    progress: Silent | None = None,
) -> BuildReport:
    """The atlas that the build would have made of which `folders` are the shards: it goes on where they end.

    What shards do not make, such as what compares all layers, is made now. Raises BuildError for shards that do not
    belong together, and what `build` raises.
    """
    for place in (target, *folders):
        with writing_to(place):
            real_place(place)
    shards = read_shards(folders)
    config = shards.build_options(target)
    return build(config, existing=existing, interrupted=interrupted, progress=progress, source=shards)
