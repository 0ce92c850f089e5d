"""A spec in the form that another runtime loads: written under a temporary name, verified, then put in place."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from atlas.errors import BuildError, SpecError, UsageError
from atlas.export.capabilities import check_expressible
from atlas.export.places import ModelPlaces, Place
from atlas.export.registry import Target, target
from atlas.live.check import verify_check
from atlas.live.export.record import RECORD, SCRIPT
from atlas.live.loading import load
from atlas.live.model import LiveModel
from atlas.live.quiet import quiet
from atlas.live.sources import resolve
from atlas.spec import InterventionSpec

CHECK_HINT = "Add one: neuron-atlas run SPEC --prompt TEXT --write-check."


@dataclass(frozen=True)
class ExportReport:
    """`path`: what was written. `difference`: the largest to the spec's check that the finished export showed in
    its own runtime; None when that is not installed, and then `note` says so."""

    path: Path
    difference: float | None
    note: str = ""


def export(
    spec: InterventionSpec, to: str, output: str | Path, *, model: str | None = None, force: bool = False
) -> ExportReport:
    """Write `spec` for the target `to` (atlas.export.registry) at `output`, a file or a folder, and verify it.

    `model`: as for `atlas.live.loading.load`; None means the spec's `model.id`. `force` replaces an earlier
    export. Nothing appears at `output` before it has passed its check in its own runtime, if that is here.

    Raises UnknownNameError (target), SpecError (no check, another model, not exactly expressible), UsageError
    (output exists or can't be written), ModelError, MissingExtraError, and BuildError if the export is wrong.
    """
    row, output = target(to), Path(output)
    if spec.check is None:
        raise SpecError("the spec has no check, which every export carries", CHECK_HINT)
    check_expressible(row, spec)
    _check_output(row, output, force)
    name = model or spec.model.id
    live = load(name, dtype="float32")
    report = verify_check(live, spec)
    if not report.ok:
        raise SpecError(
            f"the spec's check does not hold on {live.model_id}: log-probabilities differ by {report.max_before:.2g} "
            f"without and {report.max_after:.2g} with the edits, and {report.tolerance:g} is allowed",
            "The check was made on another machine, dtype or model; make it anew with run --write-check.",
        )
    with _temporary(output) as place:
        if row.output == "code":
            difference, note = _code(row, spec, live, name, place)
        else:
            difference, note = _weights(row, spec, live, place)
        if difference is not None and not difference <= spec.check.tolerance:
            raise BuildError(
                f"the export to {row.name} gives log-probabilities {difference:.3g} away from the check's, "
                f"and {spec.check.tolerance:g} is allowed; nothing was written",
                "Another version of its library may mean something else; see docs/exports.md.",
            )
        _put(place, output)
    return ExportReport(output, difference, note)


def places_of(live: LiveModel) -> ModelPlaces:
    """Where the sites are on this model, as plain data."""
    sites = {
        name: Place(tap.module, tap.io, *((tap.part.index, tap.part.count) if tap.part else ()))
        for name, tap in live.adapter.sites.items()
    }
    return ModelPlaces(live.model.base_model_prefix, sites)


def _code(row: Target, spec: InterventionSpec, live: LiveModel, name: str, place: Path) -> tuple[float | None, str]:
    text = importlib.import_module(row.module).write(spec, places_of(live))
    place.write_text(text, encoding="utf-8")
    if row.package and importlib.util.find_spec(row.package) is None:
        return None, f"not verified, as {row.package} is not installed: pip install 'neuron-atlas[{row.extra}]'"
    found = resolve(name)
    location = Path(found.location) / found.gguf_file if found.gguf_file else found.location
    if found.is_local:
        location = Path(location).resolve()
    return _in_a_fresh_process(place, str(location)), ""


def _weights(row: Target, spec: InterventionSpec, live: LiveModel, place: Path) -> tuple[float, str]:
    module = importlib.import_module(row.module)
    if row.output == "folder":
        place.mkdir()
    module.write(live, spec, place)
    if row.name == "weights":
        return _in_a_fresh_process(place / SCRIPT), ""
    with quiet():
        return module.verify(live, spec, place), ""


def _in_a_fresh_process(script: Path, *arguments: str) -> float:
    """Run an emitted script without this project on its path; the largest difference that it reports."""
    run = subprocess.run(
        [sys.executable, "-I", str(script.resolve()), *arguments],
        capture_output=True,
        text=True,
        cwd=script.resolve().parent,
        check=False,
    )
    try:
        report = json.loads(run.stdout.strip().splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        said = (run.stderr.strip().splitlines() or ["no word"])[-1]
        raise BuildError(f"the export does not run: {said[:300]}; nothing was written") from None
    return max(report.get("before", 0.0), report["after"])


def _check_output(row: Target, output: Path, force: bool) -> None:
    kind = "a folder" if row.output == "folder" else "a file"
    if row.output == "code" and output.suffix != ".py":
        raise UsageError(f"{row.name} is a Python file, and {output.name} does not end in .py", f"Say {output}.py.")
    if not output.parent.is_dir():
        raise UsageError(f"there is no folder {output.parent}", "Make it first.")
    if not os.path.lexists(output):
        return
    if not force:
        raise UsageError(f"{output} exists", "Name another place, or use --force to replace it.")
    if (row.output == "folder") != output.is_dir():
        raise UsageError(f"{output} exists and is not {kind}", "Name another place.")
    if output.is_dir() and any(output.iterdir()) and not (output / RECORD).is_file():
        raise UsageError(f"{output} is a folder that no export wrote", "Name another place; this is left alone.")


@contextlib.contextmanager
def _temporary(output: Path) -> Iterator[Path]:
    """A free name beside `output`, ending as it does; whatever is there afterwards is removed."""
    place = output.with_name(f".{output.stem}-{secrets.token_hex(4)}{output.suffix}")
    try:
        yield place
    except OSError as error:
        raise UsageError(f"cannot write {output}: {error.strerror or error}", "Name a place you own.") from error
    finally:
        _remove(place)


def _put(place: Path, output: Path) -> None:
    """Rename; a folder in the way goes to a third name first, as folders can't be replaced in one step."""
    if not (output.is_dir() and place.is_dir()):
        os.replace(place, output)
        return
    old = output.with_name(f".{output.name}-{secrets.token_hex(4)}")
    os.replace(output, old)
    os.replace(place, output)
    _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
