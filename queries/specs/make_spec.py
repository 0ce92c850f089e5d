"""From an atlas to an intervention spec: choose neurons, resolve every number, say where they come from.

The spec works without its atlas: ranges and means are written into it as numbers. Its `check` stays empty,
because that takes the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from atlas.errors import QuestionError, UsageError
from atlas.ops import OPS
from atlas.sites import DEFAULT_SITE, format_neuron
from atlas.sites import site as site_of
from atlas.spec.document import Edit, InterventionSpec, Range, Tokenization
from atlas.spec.fields import POSITION_WORDS, reference_to
from atlas.spec.float32 import FLOAT32_MAX
from atlas.store.reader import Atlas
from queries.answering import question
from queries.specs.neurons import Choice, by_address, by_rule, by_token, natural_site
from queries.specs.numbers import Numbers, NumberSource, background_source, concept_source, numbers_of
from queries.specs.origin import luck_of, origin, warning
from queries.specs.request import CONTRAST, SpecRequest
from queries.specs.text import OpRequest, parse_indices, parse_op

# Token indices below this can be listed in positions.
MAX_POSITIONS = 1_000_000


@dataclass(frozen=True)
class Made:
    """A spec, and what a person should know of it, a line each."""

    spec: InterventionSpec
    notes: list[str]


@question
def make_spec(atlas: Atlas, /, **options: Any) -> InterventionSpec:
    """The spec that `options` ask for; they are the fields of SpecRequest.

        make_spec(atlas, concept="sports", top=1000, fit=FitChoice(site="mlp_post"), op="set=mean")

    Bounds are the stored intervals (float32; an open side is the largest float32), or mean -+ tau std of the concept
    as the atlas's macros range_lower and range_upper give them; a standard deviation of 0 makes a range of one point,
    which `damp` refuses. The value of `set` and `add` counts towards the token where a token chooses the neurons: a
    neuron that lowers it gets the negative.

    `source` says where it all comes from and what the atlas measured of the neurons (queries/specs/origin.py).

    Raises UsageError for options that contradict each other or are out of their domain, UnknownNameError
    for unknown names, QuestionError when nothing is found.
    """
    return spec_and_notes(atlas, **options).spec


@question
def spec_and_notes(atlas: Atlas, /, **options: Any) -> Made:
    """As make_spec, with what a person should know: a range that is not the usual one, a concept that may be luck."""
    request = SpecRequest(**options)
    op = parse_op(request.op)
    _refuse_unresolvable(request, op)
    site, source = _site_and_source(atlas, request, op)
    choice = _choose(atlas, request, site, source)
    _refuse_meaningless_signs(atlas, request, op, site, choice)
    numbers = {} if source is None else numbers_of(atlas, source, choice.neurons)
    edits = [
        _edit(request, op, site, address, sign, numbers.get(address))
        for address, sign in zip(choice.neurons, choice.signs, strict=True)
    ]
    luck = None if source is None else luck_of(atlas, source)
    manifest = atlas.manifest
    spec = InterventionSpec(
        model=reference_to(manifest),
        tokenization=Tokenization(add_bos=manifest.add_bos, chat_template=False),
        phase=request.phase,
        positions=_positions(request),
        edits=tuple(edits),
        source=origin(atlas, request, source, choice, numbers, luck),
    )
    notes = [] if source is None else [source.note, warning(request.concept or "", luck)]
    return Made(spec, [note for note in notes if note])


def _refuse_unresolvable(request: SpecRequest, op: OpRequest) -> None:
    if OPS[op.op].needs_range and not request.with_range:
        raise UsageError(f"{op.op} works inside a range", "Add --concept NAME, without --whole-neuron.")
    if OPS[op.op].needs_range and request.bounds == CONTRAST:
        raise UsageError(f"{op.op} needs the centre of a range, and contrast bounds are open", "Use --bounds gaussian.")
    if op.needs_concept and not request.concept:
        raise UsageError(f"{request.op} depends on a concept", "Add --concept NAME, or use set=mean.")
    if not request.concept and op.value != "mean" and any(name != "site" for name, _ in request.fit.given()):
        raise UsageError("--family, --position and --template choose a fit, and nothing here needs one")


def _site_and_source(atlas: Atlas, request: SpecRequest, op: OpRequest) -> tuple[str, NumberSource | None]:
    """Where the edits are, and the fit that lends them numbers (None where none are needed)."""
    site = request.fit.site
    if site is not None and site_of(site).gated_only and not atlas.manifest.gated:
        raise UsageError(f"{site} exists on gated models only", f"{atlas.manifest.model_id} is not gated.")
    if site is None and request.token:
        site = natural_site(request.weight, atlas.manifest.gated)
    if request.concept:
        source = concept_source(atlas, request, op, replace(request.fit, site=site))
        return source.fit.site, source
    site = site or DEFAULT_SITE
    return site, background_source(atlas, replace(request.fit, site=site)) if op.value == "mean" else None


def _choose(atlas: Atlas, request: SpecRequest, site: str, source: NumberSource | None) -> Choice:
    if request.neurons:
        return by_address(atlas, request, site)
    layers: Sequence[int] = range(atlas.manifest.n_layers)
    if request.layers is not None:
        layers = parse_indices(request.layers, "--layers", atlas.manifest.n_layers)
    if request.token:
        return by_token(atlas, request, site, layers)
    assert source is not None  # SpecRequest: without neurons and token there is a concept
    return by_rule(atlas, request, source, layers)


def _refuse_meaningless_signs(atlas: Atlas, request: SpecRequest, op: OpRequest, site: str, choice: Choice) -> None:
    """A weight's sign is that of the activation only at its own site; elsewhere it must not turn a value."""
    own = natural_site(request.weight, atlas.manifest.gated)
    if site != own and op.op in ("set", "add") and op.value != 0 and -1 in choice.signs:
        raise UsageError(
            f"which sign lowers a token in {request.weight or 'down_proj'} is not known at {site}",
            f"Use --sign raised, or --site {own}.",
        )


def _edit(
    request: SpecRequest, op: OpRequest, site: str, address: tuple[int, int], sign: int, known: Numbers | None
) -> Edit:
    if isinstance(op.value, str):
        value = _looked_up(op, known, address)
    else:
        value = op.value * sign if op.op in ("set", "add") else op.value
    when = None
    if request.with_range:
        assert known is not None and known.lower is not None and known.upper is not None  # a range is a concept's
        when = Range(known.lower, known.upper)
        if OPS[op.op].needs_range:
            _require_a_centre(request, op, when, address)
    return Edit(site, *address, op.op, value, when)


def _require_a_centre(request: SpecRequest, op: OpRequest, when: Range, address: tuple[int, int]) -> None:
    name = format_neuron(*address)
    if FLOAT32_MAX in (-when.lower, when.upper):
        raise UsageError(
            f"{op.op} needs the centre of a range, and the interval of {name} for {request.concept!r} is open",
            "Use --bounds gaussian.",
        )
    if not when.lower < when.upper:
        raise UsageError(
            f"{op.op} needs a range with a width, and {name} has none for {request.concept!r} (it is one value)",
            "Use another op, or choose fewer neurons.",
        )


def _looked_up(op: OpRequest, known: Numbers | None, address: tuple[int, int]) -> float:
    """The number that the neuron at `address` brings for this op."""
    assert known is not None  # an op with a looked-up number has a fit
    if op.value == "mean":
        return known.background_mean
    assert known.concept_mean is not None  # the others need a concept
    if op.value == "concept-mean":
        return known.concept_mean
    if known.rest_mean is None:
        raise QuestionError(f"{format_neuron(*address)} has no rest: its family has one concept", "Use set=mean.")
    strength = 1.0 if op.value == "rest-mean" else op.strength
    return known.concept_mean + strength * (known.rest_mean - known.concept_mean)


def _positions(request: SpecRequest) -> str | tuple[int, ...]:
    if isinstance(request.positions, str) and request.positions in POSITION_WORDS:
        return request.positions
    return parse_indices(request.positions, "--positions", MAX_POSITIONS)
