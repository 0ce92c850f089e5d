"""Targets that are one Python file: the edits as data, then code that needs nothing of this project.

The code stands in templates/*.py.txt: `core` (which tokens, what happens to them), one file a target, `main`
(the check). The data is grouped by the tensor that a hook sees, so any number of edits costs one hook a tensor.
"""

from __future__ import annotations

import itertools
import sys
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import replace
from importlib.resources import files
from typing import Any

from atlas.sites import SITES
from atlas.spec.document import Edit, InterventionSpec
from atlas.spec.text import spec_hash
from builders.export.places import ModelPlaces

_WIDTH = 110
_Where = Callable[[Edit], tuple[str, str, int, int]]


def module_taps(spec: InterventionSpec, places: ModelPlaces) -> list[dict[str, Any]]:
    """Edits by module path of transformers, in execution order."""

    def where(edit: Edit) -> tuple[str, str, int, int]:
        place, width = places.sites[edit.site], _width(spec, edit, places)
        return place.module.format(layer=edit.layer), place.io, place.part * width, place.parts * width

    return _taps([edit for edit in spec.edits if edit.layer not in _layers_apart(places, edit)], where)


def expert_taps(spec: InterventionSpec, places: ModelPlaces) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Edits at layers with experts: of routed ones by module, expert and site, and of shared ones as `module_taps`."""
    apart = [edit for edit in spec.edits if edit.layer in _layers_apart(places, edit)]
    units = [(places.experts[edit.layer], edit) for edit in apart]
    shared = [
        replace(edit, neuron=edit.neuron - at.first_shared) for at, edit in units if edit.neuron >= at.first_shared
    ]

    def where(edit: Edit) -> tuple[str, str, int, int]:
        place, at = places.shared[edit.site], places.experts[edit.layer]
        return (
            place.module.format(layer=edit.layer),
            place.io,
            place.part * at.shared_width,
            (place.parts * at.shared_width),
        )

    by_expert: dict[tuple[int, int, str], list[tuple[int, Edit]]] = {}
    for at, edit in units:
        if edit.neuron < at.first_shared:
            expert, unit = divmod(edit.neuron, at.width)
            by_expert.setdefault((edit.layer, expert, edit.site), []).append((unit, edit))
    routed = [
        {"at": places.experts[layer].module, "expert": expert, "site": site, "edits": _groups(edits)}
        for (layer, expert, site), edits in sorted(by_expert.items())
    ]
    return routed, _taps(shared, where)


def scaling_routers(spec: InterventionSpec, places: ModelPlaces) -> dict[str, str]:
    """The experts modules at edited layers that transformers does not run by its table -> their routers."""
    layers = [edit.layer for edit in spec.edits if edit.layer in _layers_apart(places, edit)]
    return {at.module: at.router for layer in layers if (at := places.experts[layer]).router is not None}


def _layers_apart(places: ModelPlaces, edit: Edit) -> Iterable[int]:
    """Layers at which the edit's site is none of one tensor."""
    return places.experts if SITES[edit.site].width == "d_mlp" else ()


def transformer_lens_taps(spec: InterventionSpec) -> list[dict[str, Any]]:
    """Edits by TransformerLens hook name, in execution order."""

    def where(edit: Edit) -> tuple[str, str, int, int]:
        return f"blocks.{edit.layer}.{SITES[edit.site].transformer_lens}", "output", 0, _width(spec, edit)

    return _taps(spec.edits, where)


def source(
    spec: InterventionSpec,
    places: ModelPlaces,
    taps: list[dict[str, Any]],
    usage: str,
    part: str,
    packages: tuple[str, ...] = (),
    experts: tuple[list[dict[str, Any]], list[dict[str, Any]]] = ([], []),
) -> str:
    """The whole file: `usage` is its docstring, `part` the target's template, `packages` what it imports.

    `experts`: what `expert_taps` gives, of a target that can edit them. Nothing of the spec gets into the text but as
    a Python literal.
    """
    check = spec.check
    data = {
        "SPEC_HASH": spec_hash(spec),
        "MODEL": {name: getattr(spec.model, name) for name in ("id", "fingerprint")},
        "PHASE": spec.phase,
        "POSITIONS": spec.positions if isinstance(spec.positions, str) else list(spec.positions),
        "BASE": places.base,
        "LOADED_BY": places.loaded_by,
        "READS": places.reads,
        "MASK": places.mask,
        "CHECK": {
            "prompt_ids": list(check.prompt_ids),
            "tokens": list(check.tokens),
            "logprob_before": list(check.logprob_before),
            "logprob_after": list(check.logprob_after),
            "tolerance": check.tolerance,
        },
        "TAPS": taps,
        **(dict(zip(("EXPERT_TAPS", "SHARED_TAPS"), experts, strict=True)) if any(experts) else {}),
        **({"ROUTERS": scaling_routers(spec, places)} if any(experts) else {}),
    }
    literals = "".join(f"{name} = {_literal(value)}\n" for name, value in data.items())
    names = sorted({"contextlib", "inspect", "json", "sys", "torch", *packages, *(["types"] if any(experts) else [])})
    ours, others = (
        "".join(f"import {name}\n" for name in names if (name in sys.stdlib_module_names) is standard)
        for standard in (True, False)
    )
    imports = f"{ours}from pathlib import Path\n\n{others}"
    parts = ["core", part, *(["experts"] if any(experts) else []), "main"]
    return f'"""{usage.strip()}\n"""\n\n{imports}\n{literals}{"".join(map(_template, parts))}'


def _template(name: str) -> str:
    return files("builders.export").joinpath("templates", f"{name}.py.txt").read_text(encoding="utf-8")


def _width(spec: InterventionSpec, edit: Edit, places: ModelPlaces | None = None) -> int:
    if places is not None and SITES[edit.site].width == "d_mlp" and edit.layer in places.narrow:
        return places.narrow[edit.layer]
    return getattr(spec.model, SITES[edit.site].width)


def _taps(edits: Iterable[Edit], where: _Where) -> list[dict[str, Any]]:
    in_order = sorted(edits, key=lambda edit: edit.layer)  # stable: sites stay in execution order
    taps = []
    for (at, io, width), found in itertools.groupby(
        ((*where(edit), edit) for edit in in_order), key=lambda row: (row[0], row[1], row[3])
    ):
        edits = [(offset + edit.neuron, edit) for _, _, offset, _, edit in found]
        taps.append({"at": at, "io": io, "width": width, "edits": _groups(edits)})
    return taps


def _groups(edits: Iterable[tuple[int, Edit]]) -> list[dict[str, Any]]:
    """One group for each op, with and without ranges; a number that all share is written once."""
    kinds: dict[tuple[str, bool], list[tuple[int, Edit]]] = {}
    for column, edit in edits:
        kinds.setdefault((edit.op, edit.when is not None), []).append((column, edit))
    groups = []
    for (op, ranged), members in kinds.items():
        group = {"op": op, "columns": [column for column, _ in members]}
        group["value"] = _shared([edit.value for _, edit in members])
        if ranged:
            group["lower"] = _shared([edit.when.lower for _, edit in members])
            group["upper"] = _shared([edit.when.upper for _, edit in members])
        groups.append(group)
    return groups


def _shared(values: list[float]) -> float | list[float]:
    return values[0] if len(set(values)) == 1 else values


def _literal(value: Any, depth: int = 0) -> str:
    """`value` as Python source in lines that a person can read."""
    flat = repr(value)
    if len(flat) <= _WIDTH - 4 * depth - 16 or not isinstance(value, (dict, list)):
        return flat
    inner, outer = "    " * (depth + 1), "    " * depth
    if isinstance(value, dict):
        lines = [f"{inner}{name!r}: {_literal(member, depth + 1)},\n" for name, member in value.items()]
    elif value and isinstance(value[0], (dict, list)):
        lines = [f"{inner}{_literal(member, depth + 1)},\n" for member in value]
    else:
        numbers = textwrap.wrap(", ".join(map(repr, value)), _WIDTH - len(inner))
        lines = [f"{inner}{line}\n" for line in numbers]
    opening, closing = ("{", "}") if isinstance(value, dict) else ("[", "]")
    return f"{opening}\n{''.join(lines)}{outer}{closing}"
