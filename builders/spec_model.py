"""The model that a spec or an atlas is for: named by the user, else where the atlas remembers it, else as called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from atlas.errors import ModelError
from atlas.live.loading import load
from atlas.live.model import LiveModel
from atlas.live.sources import Source, resolve
from atlas.manifest import Manifest
from atlas.model_place import SPEC_FIELD, places, there
from atlas.spec.document import InterventionSpec


@dataclass(frozen=True)
class Wanted:
    """A model by what is known of it: what it is called by `what` ("spec"), its weights, and where it may be."""

    what: str
    model_id: str
    fingerprint: str
    paths: Sequence[str]
    """Absolute; where it was built from a file or folder."""


def wanted_by(spec: InterventionSpec, beside: Sequence[str] = ()) -> Wanted:
    """The model of `spec`. `beside`: more places, absolute."""
    remembered = spec.source.get(SPEC_FIELD)
    paths = list(dict.fromkeys([*([remembered] if isinstance(remembered, str) else []), *beside]))
    return Wanted("spec", spec.model.id, spec.model.fingerprint, paths)


def wanted_of(manifest: Manifest, atlas: Path) -> Wanted:
    """The model of the atlas at that path."""
    return Wanted("atlas", manifest.model_id, manifest.fingerprint, places(manifest, atlas))


def require_model_of(manifest: Manifest, live: LiveModel) -> None:
    """Raises ModelError for a model that is not the atlas's."""
    if not live.has_fingerprint(manifest.fingerprint):
        raise ModelError(
            f"{live.model_id} is not the model of the atlas, {manifest.model_id}: its weights differ",
            "--model names another one.",
        )


def find(spec: InterventionSpec, model: str | None = None, beside: Sequence[str] = ()) -> list[Source]:
    """As `find_wanted`, of the model of `spec`."""
    return find_wanted(wanted_by(spec, beside), model)


def find_wanted(wanted: Wanted, model: str | None = None) -> list[Source]:
    """Where a model may be, best first, at least one. `model`: what the user named, which decides.

    A model that was built from a file or folder is not asked of the hub, and one
    whose name may be a file's only of the hub's cache: its name says nothing to the hub.

    Raises ModelError, with --model in its hint, where there is none.
    """
    if model is not None:
        return [resolve(model)]
    sources, failures = [], []
    for place in there(wanted.paths):
        try:
            sources.append(resolve(place))
        except ModelError as error:
            failures.append(error)
    if sources:
        return sources
    if failures:
        raise _with_option(failures[0], wanted)
    try:
        named = resolve(wanted.model_id)
    except ModelError as error:
        raise _with_option(error, wanted) from error
    if wanted.paths and not named.is_local:
        missing = ModelError(f"the model {wanted.model_id} is no longer at {wanted.paths[0]}")
        raise _with_option(missing, wanted)
    return [replace(named, ask_hub="/" in named.location)]


def model_files(spec: InterventionSpec, model: str | None = None, beside: Sequence[str] = ()) -> list[Path]:
    """The files and folders that `find` finds, none of which may be an output."""
    return files_of(wanted_by(spec, beside), model)


def files_of(wanted: Wanted, model: str | None = None) -> list[Path]:
    """As `model_files`."""
    return [source.path for source in find_wanted(wanted, model) if source.path is not None]


def load_for(
    spec: InterventionSpec,
    model: str | None = None,
    beside: Sequence[str] = (),
    *,
    device: str = "auto",
    dtype: str = "auto",
) -> LiveModel:
    """The model of `spec`, as `find` finds it; `atlas.live.intervene.check_model` decides whether it is the right one.

    Of several places, the first one that has the spec's weights; the last one where none has.
    Raises what `load` raises; --model is in the hint of each ModelError.
    """
    return load_wanted(wanted_by(spec, beside), model, device=device, dtype=dtype)


def load_wanted(wanted: Wanted, model: str | None = None, *, device: str = "auto", dtype: str = "auto") -> LiveModel:
    """As `load_for`."""
    sources = find_wanted(wanted, model)
    for source in sources:
        try:
            live = load(source, device=device, dtype=dtype)
        except ModelError as error:
            if model is not None:
                raise
            if source is sources[-1]:
                raise _with_option(error, wanted) from error
            continue
        if live.has_fingerprint(wanted.fingerprint) or source is sources[-1]:
            return live
    raise AssertionError("find gives at least one source")


def _with_option(error: ModelError, wanted: Wanted) -> ModelError:
    own = f"{error.hint} " if error.hint else ""
    said = f"The {wanted.what} calls its model {wanted.model_id}; --model says where it is."
    return ModelError(error.message, own + said)
