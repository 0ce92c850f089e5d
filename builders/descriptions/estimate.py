"""What descriptions by an endpoint will ask of it, told and agreed to before anything is sent."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from atlas.endpoint import EndpointName
from atlas.errors import UsageError
from atlas.printable import say
from builders.descriptions.answering import MOST_NEW_TOKENS
from builders.descriptions.choice import SIDES, Neuron
from builders.descriptions.evidence import Source
from builders.descriptions.held_out import cases_of
from builders.descriptions.prompts import MOST_CASES, describing, judging

SAMPLE = 20
"""Neurons whose prompts are written out for an estimate."""
CHARACTERS = 3.5
"""Of a token, about."""


class Estimate(NamedTuple):
    """Questions; tokens of all prompts, about; tokens of all answers, at most."""

    calls: int
    tokens_in: int
    tokens_out: int


def estimate(neurons: Sequence[Neuron], source: Source, *, scores: bool) -> Estimate:
    """For all the neurons, from some of them evenly spaced, and one control more where one is described alone."""
    step = max(1, len(neurons) // SAMPLE)
    sample = neurons[::step]
    calls, characters = 0, 0
    for neuron in sample:
        evidence = source.of(neuron)
        for side in SIDES:
            asked = describing(side, evidence, source)
            if asked is None:
                continue
            calls, characters = calls + 1, characters + len(asked[0])
            cases = cases_of(side, evidence, source) if scores and side.side == "input" else []
            for start in range(0, len(cases), MOST_CASES):  # twice: of this description, and of the control
                asked_of = judging("x" * 100, cases[start : start + MOST_CASES])
                calls, characters = calls + 2, characters + 2 * len(asked_of)
    share = (len(neurons) + (scores and len(neurons) == 1)) / len(sample)
    calls = round(calls * share)
    return Estimate(calls, round(characters * share / CHARACTERS), calls * MOST_NEW_TOKENS)


def agree(endpoint: EndpointName, found: Estimate, *, spend: bool) -> None:
    """Tell the user, and go on only with `spend` or a yes. Raises UsageError otherwise; nothing was sent then."""
    host = urlsplit(endpoint.url).hostname
    says = (
        f"{endpoint.model} at {host} will be asked about {found.calls:,} times: some {found.tokens_in:,} tokens in, "
        f"at most {found.tokens_out:,} out; it is shown texts and tokens of the atlas"
    )
    if spend:
        say("note", says)
        return
    if not sys.stdin.isatty():
        raise UsageError(says, "Add --yes to go on; nothing was sent.")
    say("note", says)
    sys.stderr.write("Go on? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UsageError("not agreed to", "Nothing was sent.")
