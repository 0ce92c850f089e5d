"""What stands on disk before a build: the atlas to add to or to replace, and an unfinished build to resume."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from atlas.errors import AtlasFileError, BuildError, UsageError
from atlas.manifest import SCHEMA_VERSION, Manifest, software_version, utc_now
from atlas.model_place import remembered
from atlas.schema.statements import Layout
from atlas.schema.table import MODEL
from atlas.schema.tables import about
from atlas.store.blame import damage
from atlas.store.files import full_name, nameable
from atlas.store.reader import is_atlas, open_atlas
from atlas.store.staging import Staging, building_folder
from atlas.whole_file import replaceable
from builders.build.plan import Plan
from builders.build.product import Product
from builders.build.products import wanted
from builders.build.tower import require_tower
from builders.config import DEFAULT_BINS, BuildConfig

PUBLISHING = "publishing"
"""State of the staging area: the atlas_id that the build is about to publish."""


def completed(config: BuildConfig) -> bool:
    """Whether `config.target` is the result of an interrupted build of these options; then clears what it left.

    A build that was killed after its last step, publishing, has nothing to resume and must not be refused
    because the target is there: it is its own.
    """
    if not (config.target.is_file() and building_folder(config.target).is_dir()):
        return False
    with Staging(config.target) as staging:
        own = staging.read_state(PUBLISHING) if staging.interrupted() else None
        options = fitted_to(config, None).parameters()
        if own is None or any(staging.parameters().get(key) != options[key] for key in options):
            return False
        try:
            with open_atlas(config.target) as atlas:
                if atlas.manifest.atlas_id != own:
                    return False
        except AtlasFileError:
            return False
        staging.discard()
    return True


def base_of(config: BuildConfig, existing: str) -> Manifest | None:
    """The manifest of the atlas to add to, or None for a new one. Raises UsageError when unsure.

    Raises AtlasFileError when what is there to add to is damaged.
    """
    if not nameable(config.target):
        raise UsageError(f"{config.target} is not UTF-8, and DuckDB opens no such name", "Name another file.")
    if "?" in full_name(config.target):
        raise UsageError(
            f"{config.target} has a question mark in its path, which DuckDB takes for its end", "Name another file."
        )
    if not config.target.parent.is_dir():
        raise UsageError(f"there is no folder {config.target.parent}", "Make it, or correct -o.")
    if config.target.is_dir():
        raise UsageError(f"{config.target} is a folder", "Name the file to write.")
    if not replaceable(config.target):
        raise UsageError(f"{config.target} is no regular file", "An atlas is a file; name one.")
    log = config.target.with_name(config.target.name + ".wal")
    if existing != "add" and os.path.lexists(log):
        raise UsageError(f"there is a file {log}, where DuckDB keeps the log of {config.target.name}", "Move it away.")
    if existing == "add":
        with open_atlas(config.target) as atlas:
            # Published again, damage would get digests that call it right.
            damaged = damage([config.target], None)
            if damaged is not None:
                raise damaged
            require_tower(config, atlas)
            for product in wanted(config):
                product.require_base(config, atlas)
            return atlas.manifest
    if config.target.exists() and existing == "refuse":
        raise UsageError(f"{config.target} exists", "Use --replace to build it anew or --add to keep its other rows.")
    if config.target.exists() and not is_atlas(config.target):
        raise UsageError(f"{config.target} is no atlas, so it is not replaced", "Name another file, or move it away.")
    return None


def state_of(target: Path) -> tuple[int, ...] | None:
    """By what a file that another program writes during a build is told from the one that was there; None: no file."""
    try:
        found = os.stat(target)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def require_state(target: Path, before: tuple[int, ...] | None) -> None:
    """Raise BuildError unless `target` is still what it was: a build takes hours, and only that one may go."""
    if state_of(target) != before:
        raise BuildError(
            f"{target} is another file than when this build began, so it is not replaced",
            "Move it away, or replace it: the same command with --resume and --replace.",
        )


def fitted_to(config: BuildConfig, base: Manifest | None) -> BuildConfig:
    """When adding, list lengths that other rows already have cannot change: UsageError for other bins."""
    if base is None:
        return replace(config, bins=DEFAULT_BINS if config.bins is None else config.bins)
    if config.bins not in (None, base.bins):
        raise UsageError(
            f"{config.target} has histograms of {base.bins} bins, not {config.bins}", "Leave --bins out, or --replace."
        )
    return replace(config, top=config.top if config.decode else base.top, bins=base.bins)


def may_resume(staging: Staging, interrupted: str) -> bool:
    """Whether to resume. Raises UsageError when there is something to resume and nothing was said."""
    found = staging.interrupted()
    if found and interrupted == "refuse":
        raise UsageError(
            f"an unfinished build of {staging.target} is there", "Continue it with --resume or drop it with --restart."
        )
    return found and interrupted == "resume"


def start(
    staging: Staging, plan: Plan, products: Sequence[Product], parameters: dict[str, Any], base: Manifest | None
) -> None:
    """Begin a new staging area: empty, or with the rows of the atlas to add to. `parameters`: its identity."""
    config, live = plan.config, plan.live
    layout = Layout(config.top, config.bins, live.d_model, live.n_layers, live.d_mlp)
    if base is None:
        staging.start(layout, parameters)
        return
    left_out = [table for product in products for table in product.left_out(config, base)]
    staging.start(layout, parameters, config.target, (*about(MODEL), *left_out))


def manifest_of(plan: Plan, products: Sequence[Product], base: Manifest | None) -> Manifest:
    """The row of the atlas that a build publishes."""
    config, live = plan.config, plan.live
    # The name of a packaged model says where it is, on any machine.
    known = None if live.source is None or live.source.packaged else live.source.path
    model_path, model_beside = remembered(known, config.target)
    manifest = Manifest(
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
        decoding_mode=None if base is None else base.decoding_mode,
        top=config.top,
        bins=config.bins,
        model_path=model_path,
        model_beside=model_beside,
        validated=live.validated,
        head=live.head_kind,
        quantised=live.quantised,
        revision=live.revision or (None if base is None else base.revision),  # the fingerprint is the same
        tower=live.tower,
    )
    for product in products:
        manifest = manifest._replace(**product.described(config))
    return manifest
