"""Refuse what a target cannot do exactly, with the reason and the targets that can."""

from __future__ import annotations

from atlas.answers.result import Document, Result
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


SECTIONS = ("exact", "targets")


def capabilities() -> Document:
    """All targets: `exact` says what each expresses, `targets` what it is.

    exact: the ops that come out exact at each site, whether edits may have ranges, whether they may depend on
    position and phase, and what limits there are beside. targets: what is written (a file of code, a folder, a
    file), and the extra and package that use it.
    """
    exact = [
        (row.name, *(list(row.ops.get(site, ())) for site in SITES), row.ranges, row.some_tokens, row.limits)
        for row in TARGETS.values()
    ]
    targets = [(row.name, row.summary, row.output, row.extra or None, row.package or None) for row in TARGETS.values()]
    tables = (
        Result(["target", *SITES, "ranges", "positions", "limits"], exact),
        Result(["target", "summary", "output", "extra", "package"], targets),
    )
    return Document({}, dict(zip(SECTIONS, tables, strict=True)))


def _address(edit: Edit) -> str:
    return f"{format_neuron(edit.layer, edit.neuron)} at {edit.site}"


def _refusal(name: str, what: str, reason: str, able: list[str]) -> SpecError:
    return SpecError(f"{name} cannot express {what} exactly: {reason}", f"Targets that can: {', '.join(able)}.")
