"""InterventionSpec: "in this model, at this site, when this neuron is inside this range, do that".

The document between reading and running: queries write it, runtimes apply it, neither needs the other.
Every InterventionSpec that exists is valid: construction checks all of it and raises SpecError with the
path of the first fault ("edits[3].when: lower 3.1 > upper 0.4"). Its parts are checked when they become
part of one. JSON in and out is in spec_json.py, the meaning of every field in docs/spec.md.

Numbers are float32, because conditions are decided and values applied in float32: each is kept as the
shortest decimal that means the same float32. Edits are kept in execution order, positions ascending.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from atlas.sites import SITES, format_neuron
from atlas.spec.fields import SPEC, Check, Edit, ModelReference, Range, Tokenization
from atlas.spec.shapes import ShapeError

__all__ = ["Check", "Edit", "InterventionSpec", "ModelReference", "Range", "Tokenization"]


@dataclass(frozen=True, kw_only=True)
class InterventionSpec:
    """The document. `positions` is "all", "last" or ascending 0-based token indices.

    Raises SpecError, naming the path, for anything malformed or outside the dims of `model`.
    """

    model: ModelReference
    tokenization: Tokenization
    edits: tuple[Edit, ...]
    phase: str = "all"
    positions: str | tuple[int, ...] = "all"
    check: Check | None = None
    source: dict[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        given = {field.name: getattr(self, field.name) for field in SPEC.fields}
        if self.check is None:
            del given["check"]
        try:
            checked = vars(SPEC.check(given))
            _fit_the_model(checked["edits"], checked["model"])
        except ShapeError as error:
            raise error.spec_error() from None
        checked["edits"] = tuple(sorted(checked["edits"], key=_execution_order))
        if not isinstance(checked["positions"], str):
            checked["positions"] = tuple(sorted(checked["positions"]))
        for name, value in checked.items():
            object.__setattr__(self, name, value)


_SITE_ORDER = {name: order for order, name in enumerate(SITES)}


def _execution_order(edit: Edit) -> tuple[int, int, int]:
    return _SITE_ORDER[edit.site], edit.layer, edit.neuron


def _fit_the_model(edits: tuple[Edit, ...], model: ModelReference) -> None:
    """ShapeError if an edit is outside the model's dims, not possible on it, or a second one of a neuron."""
    first_of: dict[tuple[str, int, int], int] = {}
    for index, edit in enumerate(edits):
        site = SITES[edit.site]
        width = getattr(model, site.width)
        at = f"edits[{index}]"
        if site.gated_only and not model.gated:
            raise ShapeError(
                f"{site.name} exists on gated models only, and this one is not gated",
                "Use mlp_pre or mlp_post.",
            ).under(f"{at}.site")
        if edit.layer >= model.n_layers:
            raise ShapeError(f"{edit.layer} is outside 0..{model.n_layers - 1}").under(f"{at}.layer")
        if edit.neuron >= width:
            problem = f"{edit.neuron} is outside 0..{width - 1}, the width of {site.name}"
            raise ShapeError(problem).under(f"{at}.neuron")
        first = first_of.setdefault((edit.site, edit.layer, edit.neuron), index)
        if first != index:
            address = format_neuron(edit.layer, edit.neuron)
            raise ShapeError(f"{address} at {site.name} already has an edit, edits[{first}]").under(at)
