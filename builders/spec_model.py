"""The model that a spec is for: named by the user, else where the atlas remembers it, else what the spec calls it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from atlas.errors import ModelError
from atlas.live.loading import load
from atlas.live.model import LiveModel
from atlas.live.sources import Source, resolve
from atlas.model_place import SPEC_FIELD, there
from atlas.spec.document import InterventionSpec


def find(spec: InterventionSpec, model: str | None = None, beside: Sequence[str] = ()) -> list[Source]:
    """Where the model of `spec` may be, best first, at least one. `model`: what the user named, which decides.

    `beside`: more places, absolute. A model that was built from a file or folder is not asked of the hub, and one
    whose name may be a file's only of the hub's cache: its name says nothing to the hub.

    Raises ModelError, with --model in its hint, where there is none.
    """
    if model is not None:
        return [resolve(model)]
    remembered = spec.source.get(SPEC_FIELD)
    paths = list(dict.fromkeys([*([remembered] if isinstance(remembered, str) else []), *beside]))
    sources, failures = [], []
    for place in there(paths):
        try:
            sources.append(resolve(place))
        except ModelError as error:
            failures.append(error)
    if sources:
        return sources
    if failures:
        raise _with_option(failures[0], spec)
    try:
        named = resolve(spec.model.id)
    except ModelError as error:
        raise _with_option(error, spec) from error
    if paths and not named.is_local:
        missing = ModelError(f"the model {spec.model.id} is no longer at {paths[0]}")
        raise _with_option(missing, spec)
    return [replace(named, ask_hub="/" in named.location)]


def model_files(spec: InterventionSpec, model: str | None = None, beside: Sequence[str] = ()) -> list[Path]:
    """The files and folders that `find` finds, none of which may be an output."""
    return [source.path for source in find(spec, model, beside) if source.path is not None]


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
    sources = find(spec, model, beside)
    for source in sources:
        try:
            live = load(source, device=device, dtype=dtype)
        except ModelError as error:
            if model is not None:
                raise
            if source is sources[-1]:
                raise _with_option(error, spec) from error
            continue
        if live.fingerprint == spec.model.fingerprint or source is sources[-1]:
            return live
    raise AssertionError("find gives at least one source")


def _with_option(error: ModelError, spec: InterventionSpec) -> ModelError:
    own = f"{error.hint} " if error.hint else ""
    return ModelError(error.message, f"{own}The spec calls its model {spec.model.id}; --model says where it is.")
