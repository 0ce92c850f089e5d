"""The saliency rules by name, as the measures bring them: by what a neuron counts as important for a concept."""

from __future__ import annotations

from atlas.errors import UnknownNameError
from atlas.schema.measures import MEASURES, Rule

INTERVAL_RULE, DEFAULT_RULE = FIRST = ("interval", "auc")
"""What ranks neurons where no rule is named: by their intervals, and where these are not known or not meant."""
RULES: dict[str, Rule] = {rule.name: rule for measure in MEASURES.values() for rule in measure.rules}
RULES = {**{name: RULES[name] for name in FIRST}, **RULES}  # first in every list


def rule(name: str) -> Rule:
    """The rule of that name, or UnknownNameError with suggestions."""
    if name not in RULES:
        raise UnknownNameError("rule", name, RULES)
    return RULES[name]
