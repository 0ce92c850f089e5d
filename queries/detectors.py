"""Rules of few neurons that tell a concept's texts, and what they reached on texts that they were not made from."""

from __future__ import annotations

import json
import math
from typing import Any

from atlas.answers.result import Document, Result
from atlas.detector import Detector, DetectorNeuron, Reading
from atlas.errors import AtlasFileError, QuestionError, UsageError
from atlas.fit_choice import ANY_FIT, FitChoice
from atlas.sites import POOLS
from atlas.store.reader import Atlas
from queries.answering import question
from queries.fits import Fit, choose_fit
from queries.sqlfile import load_sql

FORMS = ("interval", "linear")
"""Of rules of few neurons; the form layer is what they are compared with."""
FIGURES, RULE = SECTIONS = ("figures", "rule")
MOST_NEURONS, DEFAULT_NEURONS = 8, 3
_SHOWN = "form neurons youden_j youden_j_low youden_j_high coverage leakage auc f1 precision".split()


@question
def detectors(
    atlas: Atlas,
    concept: str,
    *,
    form: str = FORMS[0],
    neurons: int = DEFAULT_NEURONS,
    fit: FitChoice = ANY_FIT,
) -> Document:
    """What rules of 1, 2, ... neurons reach for `concept`, and the neurons of one of them: the SECTIONS.

    figures has a row for every rule: of the form interval (is each activation inside an interval?), of the form linear
    (the activations themselves), and of the form layer, a linear probe of all neurons of the best layer. Every number
    is of texts that were left out when that rule was made; _low and _high bound its 95 % interval. youden_j is
    coverage - leakage. rule has the neurons of the rule `form`, `neurons`, made from all texts:

        detectors(atlas, "sports", neurons=2)

    Raises as `detector`.
    """
    chosen, found = _found(atlas, concept, fit)
    columns, rows = found
    rule = _rule(atlas, chosen, concept, form, neurons, found)
    says = Result(
        ["address", "words", "layer", "neuron", "weight", "lower", "upper", "mean", "std"],
        [
            (each.address, each.words(), *(getattr(each, name) for name in DetectorNeuron.__dataclass_fields__))
            for each in rule.neurons
        ],
        shown=["address", "words"],
    )
    fields = {
        "concept": concept,
        "family": chosen.family,
        "site": chosen.site,
        "position": chosen.position,
        "template": chosen.template,
        "form": form,
        "neurons": neurons,
        "bias": rule.bias,
        "threshold": rule.threshold,
    }
    notes = [
        f"{chosen.family}/{concept} at {chosen.site}, position {chosen.position}; every figure is of texts left out",
        f"{concept} where {rule.bias:+.3g} and what the {len(rule.neurons)} neurons of {form} add is at least "
        f"{rule.threshold:.3g}",
    ]
    return Document(fields, {FIGURES: Result(columns, rows, shown=_SHOWN), RULE: says}, notes, shown=[FIGURES, RULE])


@question
def detector(
    atlas: Atlas,
    concept: str,
    *,
    form: str = FORMS[0],
    neurons: int = DEFAULT_NEURONS,
    fit: FitChoice = ANY_FIT,
) -> Detector:
    """The rule itself, with how the texts were read that it was made from.

    Raises UnknownNameError for a concept, UsageError where several fits remain or there is no such form, QuestionError
    where there are no detectors, or none of so many neurons.
    """
    chosen, found = _found(atlas, concept, fit)
    return _rule(atlas, chosen, concept, form, neurons, found)


def _found(atlas: Atlas, concept: str, fit: FitChoice) -> tuple[Fit, tuple[list[str], list[tuple[Any, ...]]]]:
    """The fit and its rules. QuestionError where it has none."""
    chosen = choose_fit(atlas, concept, fit)
    found = atlas.query(load_sql("detector_figures"), _key(chosen, concept))
    if not found[1]:
        raise QuestionError(
            f"there are no detectors of {chosen.family} at {chosen.site} here",
            "`neuron-atlas build --add --detectors` with the same corpus makes them.",
        )
    return chosen, found


def _rule(
    atlas: Atlas,
    fit: Fit,
    concept: str,
    form: str,
    neurons: int,
    found: tuple[list[str], list[tuple[Any, ...]]],
) -> Detector:
    if form not in FORMS:
        raise UsageError(f"the form {form!r} is none of {', '.join(FORMS)}")
    columns, rows = found
    rules = {(row["form"], row["neurons"]): row for row in (dict(zip(columns, row, strict=True)) for row in rows)}
    if (form, neurons) not in rules:
        most = max((count for name, count in rules if name == form), default=0)
        raise QuestionError(f"there is no rule of {neurons} neurons for {concept}", f"There are those of 1 to {most}.")
    rule = rules[form, neurons]
    _, members = atlas.query(load_sql("detector_neurons"), _key(fit, concept) | {"form": form, "neurons": neurons})
    if len(members) != neurons or not _can_judge(form, (rule["bias"], rule["threshold"]), members):
        raise AtlasFileError(
            f"the rule of {neurons} neurons for {concept} is damaged", "`neuron-atlas verify` says what else is."
        )
    return Detector(
        concept,
        form,
        tuple(DetectorNeuron(*member) for member in members),
        rule["bias"],
        rule["threshold"],
        _reading(atlas, fit),
    )


def _can_judge(form: str, of_rule: tuple[Any, ...], members: list[tuple[Any, ...]]) -> bool:
    """Whether all numbers are there that the form needs, and none that would make every comparison false."""
    try:
        if not all(map(math.isfinite, of_rule)):
            return False
        for layer, neuron, weight, lower, upper, mean, std in members:
            needed = lower <= upper if form == FORMS[0] else std > 0 and math.isfinite(mean) and math.isfinite(std)
            others = (mean, std) if form == FORMS[0] else (lower, upper)
            if not needed or others != (None, None) or min(layer, neuron) < 0 or not math.isfinite(weight):
                return False
    except TypeError:  # NULL, or a column of another type
        return False
    return True


def _reading(atlas: Atlas, fit: Fit) -> Reading:
    _, rows = atlas.query(load_sql("detector_reading"), {"fit_id": fit.fit_id})
    said, dtype = rows[0] if rows else (None, None)
    try:
        parameters = json.loads(said or "")
        pool, max_tokens = parameters.get("pool") or POOLS[0], parameters.get("max_tokens")
    except (ValueError, RecursionError, AttributeError):
        pool = max_tokens = None
    if pool not in POOLS or type(max_tokens) is not int or not 1 <= max_tokens <= 10**6 or type(dtype) is not str:
        raise AtlasFileError(f"the run of {fit.family} does not say how its texts were read", "Build it anew.")
    return Reading(fit.family, fit.site, fit.position, fit.template, pool, max_tokens, dtype)


def _key(fit: Fit, concept: str) -> dict[str, Any]:
    return {"fit_id": fit.fit_id, "concept_id": fit.concept_id(concept)}
