"""The arms of a comparison: what one spec is measured against.

- `baseline`: no edit.
- `range`: the spec as it is, where its edits have ranges; else it is called `spec`.
- `whole_neuron`: the same edits without their ranges, so that they apply to every value. `damp` has no meaning
  without a range, and its factor tends to 0 at the centre where most values are: its counterpart is `set 0`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from atlas.ops import OPS
from atlas.spec.document import Edit, InterventionSpec

BASELINE, WHOLE_NEURON, RANGE, SPEC = "baseline", "whole_neuron", "range", "spec"


@dataclass(frozen=True)
class Arm:
    """One way to run the model; `spec` None is the model itself."""

    name: str
    spec: InterventionSpec | None


def arms_of(spec: InterventionSpec, whole_neuron: bool = True) -> list[Arm]:
    """The arms of `spec` beside the baseline; `whole_neuron` False leaves that one out."""
    if all(edit.when is None for edit in spec.edits):
        return [Arm(SPEC, spec)]
    arms = [Arm(RANGE, spec)]
    return [Arm(WHOLE_NEURON, without_ranges(spec)), *arms] if whole_neuron else arms


def without_ranges(spec: InterventionSpec) -> InterventionSpec:
    """The edits of `spec` on every value; damp becomes set 0. Its check, which would be false, is dropped."""
    return replace(spec, edits=tuple(map(_without_range, spec.edits)), check=None)


def _without_range(edit: Edit) -> Edit:
    if OPS[edit.op].needs_range:
        return replace(edit, op="set", value=0.0, when=None)
    return replace(edit, when=None)
