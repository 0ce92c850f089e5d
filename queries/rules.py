"""THE table of saliency rules: by what a neuron counts as important for a concept, strongest first."""

from __future__ import annotations

from dataclasses import dataclass

from atlas.errors import UnknownNameError


@dataclass(frozen=True)
class Rule:
    """One way to rank the neurons of a concept.

    `order_by` is SQL over the columns mean, rest_mean, mean_abs, max, auc, dprime, coverage and leakage.
    `min_coverage` is the least coverage a neuron needs to be ranked at all, unless the caller names one.
    """

    name: str
    meaning: str
    order_by: str
    min_coverage: float = 0.0


RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule("auc", "separates the concept from the rest, on either side", "abs(auc - 0.5) DESC NULLS LAST"),
        Rule("dprime", "distance of the two means in pooled deviations", "abs(dprime) DESC NULLS LAST"),
        Rule("mean_abs", "mean absolute activation on the concept (NeuronLens)", "mean_abs DESC NULLS LAST"),
        Rule("max", "largest activation on the concept", '"max" DESC NULLS LAST'),
        Rule(
            "probeless",
            "distance of the concept's mean from the mean of the rest (Probeless)",
            "abs(mean - rest_mean) DESC NULLS LAST",
        ),
        Rule(
            "low_leakage",
            "fewest other activations in the range, among neurons that cover 0.9 of the concept",
            "leakage ASC NULLS LAST, coverage DESC",
            min_coverage=0.9,
        ),
    )
}
DEFAULT_RULE = "auc"


def rule(name: str) -> Rule:
    """The row of the rule table, or UnknownNameError with suggestions."""
    if name not in RULES:
        raise UnknownNameError("rule", name, RULES)
    return RULES[name]
