"""Refuse what a target cannot do exactly, with the reason and the targets that can."""

from __future__ import annotations

from atlas.errors import SpecError
from atlas.sites import SITES, format_neuron
from atlas.spec.document import Edit, InterventionSpec
from builders.export.registry import EVERYTHING, TARGETS, Target


def obstacle(target: Target, spec: InterventionSpec) -> str | None:
    """Why `target` cannot express `spec` exactly on any model; None if nothing in the table speaks against it."""
    if not target.some_tokens:
        for field in ("positions", "phase"):
            if getattr(spec, field) != "all":
                shown = getattr(spec, field)
                return f"{field} {shown if isinstance(shown, str) else 'by index'}"
    for edit in spec.edits:
        if edit.when is not None and not target.ranges:
            return f"the range of {_address(edit)}"
        ops = target.ops.get(edit.site, ())
        if edit.op not in ops and not ("set 0" in ops and edit.op == "set" and edit.value == 0):
            return f"{edit.op} {edit.value:g} of {_address(edit)}"
    return None


def check_expressible(target: Target, spec: InterventionSpec) -> None:
    """Raise SpecError unless the table lets `target` express all of `spec`."""
    found = obstacle(target, spec)
    if found is not None:
        able = [name for name, other in TARGETS.items() if obstacle(other, spec) is None]
        raise _refusal(target.name, found, target.why, able)


def refusal(name: str, edit: Edit, reason: str) -> SpecError:
    """The error for what only the model at hand rules out; points to the targets that can do everything."""
    able = [other for other, row in TARGETS.items() if row.ops == EVERYTHING]
    return _refusal(name, f"{edit.op} {edit.value:g} of {_address(edit)}", reason, able)


def capability_rows() -> list[tuple[str, ...]]:
    """(target, ops at each site of the table ..., ranges, positions and phase, limits), with words."""
    return [
        (
            row.name,
            *(", ".join(row.ops.get(site, ())) or "no" for site in SITES),
            "yes" if row.ranges else "no",
            "yes" if row.some_tokens else "no",
            row.limits,
        )
        for row in TARGETS.values()
    ]


CAPABILITY_COLUMNS = ("target", *SITES, "ranges", "positions, phase", "limits")


def _address(edit: Edit) -> str:
    return f"{format_neuron(edit.layer, edit.neuron)} at {edit.site}"


def _refusal(name: str, what: str, reason: str, able: list[str]) -> SpecError:
    return SpecError(f"{name} cannot express {what} exactly: {reason}", f"Targets that can: {', '.join(able)}.")
