"""Where a spec comes from: its `source`, with what the atlas measured of the neurons and of the concept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from atlas.model_place import SPEC_FIELD, places, there
from atlas.sites import format_neuron
from atlas.store.reader import Atlas
from queries.experts import all_experts
from queries.significance import LEVEL, all_significance
from queries.specs.neurons import Choice
from queries.specs.numbers import Numbers, NumberSource
from queries.specs.request import INTERVAL, SpecRequest

# Neurons whose shares are listed one by one, the strongest: `source` holds 10,000 values, three go to each of these.
MOST_LISTED = 2000

_NAMES = ("coverage", "leakage")
Known = Mapping[tuple[int, int], Numbers]


def luck_of(atlas: Atlas, source: NumberSource) -> dict[str, Any] | None:
    """How the best interval of the concept, over all neurons of the fit, compares with what luck gives.

    From the view concept_significance, under its names; None without intervals.
    """
    if source.bounds != INTERVAL:
        return None
    found = all_significance(atlas).get((source.fit.fit_id, source.concept_id))
    if found is None:
        return None
    names = ("permutations", "best_interval", "interval_p", "null_interval_95")
    return {"folds": source.fit.folds, **{name: getattr(found, name) for name in names}}


def warning(concept: str, luck: Mapping[str, Any] | None) -> str:
    """What to say of a concept whose best neuron luck explains; '' where it does not, or nobody knows."""
    if luck is None or luck["interval_p"] is None or luck["interval_p"] <= LEVEL:
        return ""
    reached, p = luck["best_interval"], luck["interval_p"]
    return (
        f"the neurons of {concept} may be luck: the best of all has an interval with coverage - leakage {reached:.2f}, "
        f"which the best of all reaches as well when labels are dealt out at random (family-wise p {p:.3g} from "
        f"{luck['permutations']} permutations)"
    )


def origin(
    atlas: Atlas,
    request: SpecRequest,
    source: NumberSource | None,
    choice: Choice,
    numbers: Known,
    luck: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """How the spec was asked for and what the atlas measured of its neurons; nothing that is None."""
    layers = request.layers
    found = {
        "atlas_id": atlas.manifest.atlas_id,
        **_model_path(atlas),
        "op": request.op,
        **choice.how,
        "top": None if request.neurons else len(choice.neurons),
        "layers": layers if layers is None or isinstance(layers, str) else list(layers),
        "concept": request.concept,
    }
    if source is not None:
        found |= {
            "family": source.fit.family,
            "position": source.fit.position,
            "template": source.fit.template,
            "bounds": source.bounds if request.with_range else None,
            "tau": source.tau,
            "mean_auc": _mean(None if n.auc is None else max(n.auc, 1 - n.auc) for n in numbers.values()),
            **_shares(atlas, source, choice, numbers, folds=None if luck is None else luck["folds"]),
        }
    if luck is not None:
        known = {name: round(value, 6) for name, value in luck.items() if name != "folds" and value is not None}
        found["significance"] = known
    return _given(found)


def _shares(atlas: Atlas, source: NumberSource, choice: Choice, numbers: Known, folds: int | None) -> dict[str, Any]:
    """What the ranges hold; of intervals what those hold that were found without the texts that are counted.

    And what to expect on new texts, where the atlas knows.
    """
    means = {f"mean_{name}": _mean(getattr(n, name) for n in numbers.values()) for name in _NAMES}
    if source.bounds != INTERVAL or source.concept_id is None:
        return means
    n = source.fit.concepts[source.concept_id][1]
    listed = {
        format_neuron(*address): _given({name: _rounded(getattr(numbers[address], name)) for name in _NAMES})
        for address in choice.neurons[:MOST_LISTED]
    }
    # Of neurons of experts each has its own: their shares stand alone.
    counts = {} if all_experts(atlas) else {"n": n, "n_others": source.fit.n - n}
    known = _given({"folds": folds, **counts, **means})
    expected = {f"mean_{name}": _mean(getattr(n, f"expected_{name}") for n in numbers.values()) for name in _NAMES}
    return {"held_out": {**known, "neurons": listed}, "expected": _given(expected) or None}


def _model_path(atlas: Atlas) -> dict[str, str]:
    """Where the runtime may find the model, if not by its name: where it is now, else where it was."""
    known = places(atlas.manifest, atlas.path)
    return {SPEC_FIELD: (there(known) or known)[0]} if known else {}


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return _rounded(sum(known) / len(known)) if known else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _given(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
