"""A spec in the form that another runtime loads: written under a temporary name, verified, then put in place."""

from __future__ import annotations

import importlib
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from atlas.errors import BuildError, SpecError
from atlas.live.adapters.base import Tap
from atlas.live.check import verify_check
from atlas.live.model import LiveModel
from atlas.live.quiet import quiet
from atlas.live.versions import ran_with
from atlas.sites import format_neuron
from atlas.spec.document import InterventionSpec
from builders.export.capabilities import check_expressible
from builders.export.model_limits import check_model_fits
from builders.export.place import check_output, free_place, put
from builders.export.places import ExpertPlace, ModelPlaces, Place
from builders.export.registry import Target, target
from builders.export.weights.record import SCRIPT
from builders.spec_model import load_for, model_files

CHECK_HINT = "Add one: neuron-atlas run SPEC --prompt TEXT --write-check."

ENCODERS = "hooks"
"""The target that takes encoders; the others are about generation, or about models as their tools know them."""


@dataclass(frozen=True)
class ExportReport:
    """`path`: what was written. `difference`: the largest to the spec's check that the finished export showed in
    its own runtime; None when that is not installed, and then `note` says so."""

    path: Path
    difference: float | None
    note: str = ""


def export(
    spec: InterventionSpec,
    to: str,
    output: str | Path,
    *,
    model: str | None = None,
    force: bool = False,
    inputs: Iterable[str | Path] = (),
) -> ExportReport:
    """Write `spec` for the target `to` (builders.export.registry) at `output`, a file or a folder, and verify it.

    `model`: as for `atlas.live.loading.load`; None means the spec's own, as builders.spec_model finds it.
    `force` replaces an earlier export and no file beside it; `inputs`: files that `output` must not be, such as the
    spec's, beside the model.
    Nothing appears at `output` before it has passed its check in its own runtime, if that is here.

    Raises UnknownNameError (target), SpecError (no check, another model, not exactly expressible), UsageError
    (output exists or can't be written), ModelError, MissingExtraError, and BuildError if the export is wrong.
    """
    row, output = target(to), Path(output)
    if spec.check is None:
        raise SpecError("the spec has no check, which every export carries", CHECK_HINT)
    check_expressible(row, spec)
    found = model_files(spec, model)
    check_output(row, output, force, [*inputs, *found])
    live = load_for(spec, model, dtype="float32")
    if row.name != ENCODERS:
        live.require_generation(f"export --to {row.name}")
    _refuse_experts(row, spec, live)
    check_model_fits(row, live)
    report = verify_check(live, spec)
    if not report.ok:
        raise SpecError(
            f"the spec's check does not hold on {live.model_id}: log-probabilities differ by {report.max_before:.2g} "
            f"without and {report.max_after:.2g} with the edits, and {report.tolerance:g} is allowed",
            "The check was made on another machine, dtype or model; make it anew with run --write-check.",
        )
    with free_place(output) as place:
        if row.output == "code":
            difference, note = _code(row, spec, live, place)
        else:
            difference, note = _weights(row, spec, live, place)
        if difference is not None and not difference <= spec.check.tolerance:
            raise BuildError(
                f"the export to {row.name} gives log-probabilities {difference:.3g} away from the check's, "
                f"and {spec.check.tolerance:g} is allowed; nothing was written",
                "Another version of its library may mean something else; see docs/exports.md.",
            )
        check_output(row, output, force, [*inputs, *found])  # what is there now, minutes later
        put(place, output)
    return ExportReport(output, difference, note)


def places_of(live: LiveModel) -> ModelPlaces:
    """Where the sites are on this model, as plain data."""
    experts = {}
    for layer in range(live.n_layers):
        found = live.experts(layer)
        if found is not None:
            first_shared = found.n_routed * found.width
            router = found.router_path if found.scales_input else None
            experts[layer] = ExpertPlace(found.path, found.width, first_shared, found.shared_width, router)
    beside = {} if live.adapter.experts is None else live.adapter.experts.sites
    narrow = {layer: n for layer in range(live.n_layers) if (n := live.neurons(layer)) < live.d_mlp}
    places = ModelPlaces(live.base_path, _places(live.adapter.sites), experts, _places(beside), narrow)
    if live.head_kind == "mlm":
        mask = live.tokenizer.mask_token_id
        return replace(places, reads="mask", mask=mask, loaded_by="AutoModelForMaskedLM")
    if live.head_kind == "classifier":
        return replace(places, reads="labels", loaded_by="AutoModelForSequenceClassification")
    return places


def _places(taps: Mapping[str, Tap]) -> dict[str, Place]:
    return {
        name: Place(tap.module, tap.io, *((tap.part.index, tap.part.count) if tap.part else ()))
        for name, tap in taps.items()
    }


def _refuse_experts(row: Target, spec: InterventionSpec, live: LiveModel) -> None:
    """SpecError for edits of neurons of experts, which only our own code can make elsewhere."""
    if row.output != "code" and live.has_experts:
        raise SpecError(
            f"{row.name} cannot be written for {live.model_id}, a mixture of experts, whose weights lie in another way",
            "Use --to hooks.",
        )
    apart = [edit for edit in spec.edits if live.experts_at(edit.site, edit.layer) is not None]
    if apart and not row.experts:
        raise SpecError(
            f"{row.name} cannot edit {format_neuron(apart[0].layer, apart[0].neuron)}, a neuron of an expert: no "
            "tensor holds it on every token",
            "Use --to hooks or --to nnsight.",
        )


def _code(row: Target, spec: InterventionSpec, live: LiveModel, place: Path) -> tuple[float | None, str]:
    text = importlib.import_module(row.module).write(spec, places_of(live))
    place.write_text(text, encoding="utf-8")
    if row.package and importlib.util.find_spec(row.package) is None:
        return None, f"not verified, as {row.package} is not installed: pip install 'neuron-atlas[{row.extra}]'"
    assert live.source is not None  # it was loaded
    report = _in_a_fresh_process(place, str(live.source.path or live.source.location))
    if report["generation"] is None:  # an encoder
        return _difference(report), ""
    with_what = ran_with(*filter(None, [row.package]))
    if report["generation"]["uncached"] is not True:
        raise BuildError(
            f"generation with the export gives other tokens than its single passes "
            f"({report['generation']['uncached']}); nothing was written",
            f"Ran with {with_what}; see docs/exports.md.",
        )
    if report["generation"]["cached"] is True:
        return _difference(report), ""
    option = report["generation"]["without_cache"]
    return _difference(report), f"generate with {option}: with a key-value cache it goes wrong here, with {with_what}"


def _weights(row: Target, spec: InterventionSpec, live: LiveModel, place: Path) -> tuple[float, str]:
    module = importlib.import_module(row.module)
    if row.output == "folder":
        place.mkdir()
    module.write(live, spec, place)
    if row.name == "weights":
        return _difference(_in_a_fresh_process(place / SCRIPT)), ""
    with quiet():
        return module.verify(live, spec, place), ""


def _difference(report: dict[str, Any]) -> float:
    return max(report.get("before", 0.0), report["after"])


def _in_a_fresh_process(script: Path, *arguments: str) -> dict[str, Any]:
    """Run an emitted script without this project on its path; what it reports."""
    run = subprocess.run(
        [sys.executable, "-I", str(script.resolve()), *arguments],
        capture_output=True,
        text=True,
        cwd=script.resolve().parent,
        check=False,
    )
    try:
        return json.loads(run.stdout.strip().splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        said = (run.stderr.strip().splitlines() or ["no word"])[-1]
        raise BuildError(f"the export does not run: {said[:300]}; nothing was written") from None
