"""What a spec has become, in a line or two for a person."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from atlas.answers.cells import quoted
from atlas.spec.document import InterventionSpec
from queries.specs.request import CONTRAST, INTERVAL


def remarks(made: InterventionSpec) -> Iterator[str]:
    """What was chosen, of a spec that make_spec made."""
    source, layers = made.source, sorted({edit.layer for edit in made.edits})
    if "forms" in source:
        yield "tokens used: " + " ".join(map(quoted, source["forms"]))
    edits = f"{len(made.edits)} edit{'s' if len(made.edits) > 1 else ''} ({source['op']})"
    where = f"layer {layers[0]}" if len(layers) == 1 else f"{len(layers)} layers, {layers[0]} to {layers[-1]}"
    inside = f", inside the {_ranges(source)}" if made.edits[0].when is not None else ""
    yield f"{edits} at {made.edits[0].site} in {where}{inside}"
    if "concept" in source:
        auc = source.get("mean_auc")
        yield f"mean AUC, either side: {'none' if auc is None else f'{auc:.3f}'}; {_shares(source)}"


def _ranges(source: dict[str, Any]) -> str:
    if source["bounds"] == INTERVAL:
        return f"intervals of {source['concept']}"
    how = "by contrast" if source["bounds"] == CONTRAST else f"at tau {source['tau']:g}"
    return f"ranges of {source['concept']} {how}"


def _shares(source: dict[str, Any]) -> str:
    """What was measured of the ranges, in a few words."""
    if "held_out" in source:
        known = source["held_out"]
        coverage, leakage = (known.get(f"mean_{name}") for name in ("coverage", "leakage"))
        folds = known.get("folds", "some")
        # Neurons of experts have numbers of values of their own.
        n, n_others = (f" (n {known[name]})" if name in known else "" for name in ("n", "n_others"))
        shares = [f"mean coverage {coverage:.3f}{n}"]
        shares += [] if leakage is None else [f"mean leakage {leakage:.3f}{n_others}"]
        known = source.get("expected", {})
        expected = [f"{known[name]:.3f}" for name in ("mean_coverage", "mean_leakage") if name in known]
        shares += [f"to expect on new texts {' and '.join(expected)}"] if expected else []
        return f"held out over {folds} folds: {', '.join(shares)}"
    leakage = source.get("mean_leakage")
    if leakage is not None:
        return f"mean leakage {leakage:.3f}"
    return f"leakage not measured at tau {source['tau']:g}" if "tau" in source else "leakage not measured"
