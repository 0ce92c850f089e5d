"""The saliency rules by name, as the measures bring them: by what a neuron counts as important for a concept."""

from __future__ import annotations

from atlas.errors import UnknownNameError
from atlas.schema.measures import MEASURES, Rule

DEFAULT_RULE = "auc"
RULES: dict[str, Rule] = {rule.name: rule for measure in MEASURES.values() for rule in measure.rules}
RULES = {DEFAULT_RULE: RULES[DEFAULT_RULE], **RULES}  # first in every list


def rule(name: str) -> Rule:
    """The rule of that name, or UnknownNameError with suggestions."""
    if name not in RULES:
        raise UnknownNameError("rule", name, RULES)
    return RULES[name]
