"""The command `explain` without its flags: find the model, explain the prompts, and write a spec if asked for one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from atlas.answers.result import Document
from atlas.live.loading import load
from atlas.live.model import LiveModel
from atlas.live.sources import resolve
from atlas.model_place import SPEC_FIELD
from atlas.printable import say
from atlas.spec.text import write_spec
from atlas.store.reader import Atlas, open_atlas
from atlas.whole_file import require_output
from builders.attribution.edits import spec_of
from builders.attribution.explain import Explanation, explanations
from builders.attribution.known import known_of
from builders.attribution.report import document
from builders.attribution.request import ExplainRequest, Prompt
from builders.spec_model import files_of, load_wanted, require_model_of, wanted_of


@dataclass(frozen=True)
class ExplainCommand:
    """Which prompts are explained, on which model, and what is written. `model` or `atlas` is given, or both.

    `op`: (op, value) of the edits of the spec. `outputs`: files that will be written, none of which may be the model or
    one of the `inputs`.
    """

    prompts: Sequence[Prompt]
    request: ExplainRequest
    model: str | None
    atlas: Path | None
    device: str = "auto"
    dtype: str = "auto"
    spec: Path | None = None
    op: tuple[str, float] = ("set", 0.0)
    outputs: tuple[Path, ...] = ()
    inputs: Sequence[Path] = ()


def run(command: ExplainCommand) -> Document:
    """Raises ModelError for a model that is not the atlas's, and as `explanations`, `load` and `load_wanted` do."""
    if command.atlas is None:
        assert command.model is not None  # one of the two is given
        source = resolve(command.model)
        _require_apart(command, [] if source.path is None else [source.path])
        _say_loading(command.model)
        live = load(source, device=command.device, dtype=command.dtype)
        return _answer(command, live, None)
    with open_atlas(command.atlas) as atlas:
        manifest = atlas.manifest
        wanted = wanted_of(manifest, command.atlas)
        _require_apart(command, [command.atlas, *files_of(wanted, command.model)])
        _say_loading(command.model or manifest.model_id)
        live = load_wanted(wanted, command.model, device=command.device, dtype=command.dtype)
        require_model_of(manifest, live)
        return _answer(command, live, atlas)


def _answer(command: ExplainCommand, live: LiveModel, atlas: Atlas | None) -> Document:
    def keep(found: Sequence[Explanation]) -> list[str]:
        if command.spec is None:
            return []
        (only,) = found
        _write_spec(command, live, only)
        return [f"spec written to {command.spec}"]

    return explained(live, command.prompts, command.request, atlas, keep)


def explained(
    live: LiveModel,
    prompts: Sequence[Prompt],
    request: ExplainRequest,
    atlas: Atlas | None,
    keep: Callable[[Sequence[Explanation]], list[str]] = lambda found: [],
) -> Document:
    """The answer of `explain` by a model that is loaded, which is the atlas's. `keep` notes what it does with it."""
    found = [replace(each, scores=None) for each in explanations(live, prompts, request)]
    named = [(share.layer, share.neuron) for each in found for share in each.neurons]
    known = None if atlas is None else known_of(atlas, named)
    notes = [*_about(live, known is not None and not known), *keep(found)]
    return document(found, request, known, notes)


def _about(live: LiveModel, without_intervals: bool) -> Iterator[str]:
    if live.logit_softcap:
        yield f"the model caps its logits at {live.logit_softcap:g}; all numbers are of the logit before the cap"
    dtype = str(live.dtype).removeprefix("torch.")
    if dtype != "float32":
        yield f"computed in {dtype}, whose rounding hides small effects; --dtype float32 shows them"
    if without_intervals:
        yield "the atlas has no intervals of these neurons, so no concept is named; `build --concepts` makes them"


def _write_spec(command: ExplainCommand, live: LiveModel, found: Explanation) -> None:
    op, value = command.op
    assert command.spec is not None
    place = None if live.source is None or live.source.packaged else live.source.path
    source = {
        "explain": {
            "prompt": found.prompt,
            "token": found.token,
            **({} if found.against is None else {"against": found.against}),
            "rule": command.request.rule,
            "position": command.request.position,
            "logit": found.value,
            "together": found.holds,
        },
        "op": f"{op}={value:g}",
        **({} if place is None else {SPEC_FIELD: str(place.resolve())}),
    }
    neurons = [(share.layer, share.neuron) for share in found.neurons]
    spec = spec_of(live, neurons, op=op, value=value, positions=command.request.position, source=source)
    write_spec(spec, command.spec)


def _require_apart(command: ExplainCommand, inputs: Sequence[Path]) -> None:
    """Before minutes of work: no output replaces what is read."""
    for output in command.outputs:
        require_output(output, inputs=[*inputs, *command.inputs])


def _say_loading(model: str) -> None:
    if sys.stderr.isatty():
        say("note", f"loading {model}")
