"""From the name of a describer to the one who writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from atlas.endpoint import Endpoint, EndpointName
from builders.descriptions import tokens
from builders.descriptions.author import Author, Sentence
from builders.descriptions.choice import ENDPOINT, LOCAL, TOKENS, Describer, Side
from builders.descriptions.evidence import Evidence, Source
from builders.descriptions.held_out import Case
from builders.descriptions.score import by_words

if TYPE_CHECKING:
    from builders.build.plan import Plan


class FixedRules(Author):
    """The describer `tokens`."""

    def describe(self, side: Side, evidence: Evidence, source: Source) -> Sentence | None:
        """By the rules of tokens.py."""
        written = tokens.describe(side, evidence, source)
        return None if written is None else Sentence(*written)

    def judge(self, text: str, cases: Sequence[Case]) -> list[bool | None]:
        """By a fixed rule as well: whether a word that the text names is there."""
        return by_words(text, cases)


def _local(describer: Describer, plan: Plan) -> Author:
    from builders.descriptions.answering import Local

    if describer.model == plan.config.model:
        return Local(plan.live)
    from atlas.live.loading import load

    return Local(load(describer.model, device=plan.config.device, dtype=plan.config.dtype))


def _remote(describer: Describer, plan: Plan) -> Author:
    from builders.descriptions.answering import Remote

    name = EndpointName(describer.url, describer.model)
    return Remote(Endpoint(name, plan.config.requests_per_minute))


AUTHORS: dict[str, Callable[[Describer, Plan], Author]] = {
    TOKENS: lambda describer, plan: FixedRules(),
    LOCAL: _local,
    ENDPOINT: _remote,
}
"""Whoever writes under a kind of describer, ready to begin."""
