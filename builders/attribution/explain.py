"""Which neurons hold the logit of a next token: computed for all, and measured for those that are named.

    live = load("smollm2-135m")
    found = explain(live, [Prompt("The capital of France is", token=" Paris")], ExplainRequest(top=10))
    found[0].value, found[0].holds, [(each.address, each.measured) for each in found[0].neurons]

All numbers are parts of the logit with one sign: positive where the neuron, as it is, holds it up. Computed ones are
called attributions; measured is what the logit loses when neurons are set to 0, by runs under an intervention spec.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from atlas.live.attribution import attribution
from atlas.live.direct import reading_last_token
from atlas.live.logits import LogitTarget, top_tokens
from atlas.live.model import LiveModel
from atlas.live.prompts import prompt_ids
from atlas.sites import format_neuron
from atlas.spec.document import Tokenization
from builders.attribution.choose import Chosen, best_set, first
from builders.attribution.edits import Neuron, spec_of
from builders.attribution.effects import Effects
from builders.attribution.request import COMPUTED, ExplainRequest, Prompt
from builders.attribution.scores import Scores, scores_of
from builders.attribution.tokens import Tokens

WRITTEN = 4
"""Tokens shown of each neuron."""


@dataclass(frozen=True)
class NeuronShare:
    """A named neuron: its activation at the last token, and what it holds of the target.

    `measured`: by setting it alone to 0; None where that was not done. The ranks are among all neurons of the model,
    1 for the largest share of the asked sign. `writes`: tokens that its w_out raises most at this activation.
    """

    address: str
    layer: int
    neuron: int
    activation: float
    direct: float
    gradient: float
    relp: float
    measured: float | None
    rank_direct: int
    rank_gradient: int
    rank_relp: int
    writes: list[str]


@dataclass(frozen=True)
class Explanation:
    """One prompt: the target, what is named, and how much of the target that is.

    `value`: the logit of `token`, minus that of `against`. `holds`: what it loses with all `neurons` at 0, measured.
    `sums`: of the named neurons' attributions by each computed rule, and of what was `measured` one by one (None: not
    all were). `all_direct`: the direct effects of all neurons of the model, summed. `tried`: sets that were measured.
    `scores`: the attributions of all neurons; None where they were let go.
    """

    prompt: str
    prompt_ids: list[int]
    token: str
    token_id: int
    against: str | None
    against_id: int | None
    value: float
    holds: float
    sums: dict[str, float | None]
    all_direct: float
    tried: int
    neurons: list[NeuronShare]
    scores: Scores | None


def explain(live: LiveModel, prompts: Sequence[Prompt], request: ExplainRequest | None = None) -> list[Explanation]:
    """One Explanation a prompt, in order. Prompts are read as the model's atlas reads texts, without a template.

    Raises UsageError for a token that is none, or a prompt that the model cannot read; ModelError where attention
    cannot be held constant for RelP, or numbers are not finite.
    """
    return list(explanations(live, prompts, request or ExplainRequest()))


def explanations(live: LiveModel, prompts: Sequence[Prompt], request: ExplainRequest) -> Iterator[Explanation]:
    """As `explain`, one at a time: of a large model the attributions of all neurons take megabytes a prompt."""
    live.require_generation("explain")
    tokens = Tokens(live)
    asked = [
        tuple(None if text is None else tokens.one(text) for text in (prompt.token, prompt.against))
        for prompt in prompts
    ]
    for prompt, ids in zip(prompts, asked, strict=True):
        yield _explain(live, tokens, prompt.text, *ids, request)


def _explain(
    live: LiveModel, tokens: Tokens, text: str, token: int | None, against: int | None, request: ExplainRequest
) -> Explanation:
    ids = prompt_ids(live, Tokenization(add_bos=live.add_bos, chat_template=False), text)
    only_last = request.position == "last"
    with reading_last_token(live) as last_of:  # in the plain pass, which measuring needs anyway
        effects = Effects(live, ids, only_last=only_last)
    last = last_of(effects.plain)
    if token is None:
        token = next(each for each in top_tokens(live, last.final_D.to(live.dtype), 2) if each != against)
    target = LogitTarget(token, against)
    scores = scores_of(live, ids, last, target, only_last=only_last)
    bench = _Bench(live, ids, target, scores, effects, request)
    chosen = bench.chosen()
    measured = bench.measured(chosen.neurons)
    order = sorted(chosen.neurons, key=lambda each: -request.sign * measured.get(each, -math.inf * request.sign))
    named = order if request.rule in ("joint", "measured") else chosen.neurons
    holds = bench.holds(named) if chosen.holds is None else request.sign * chosen.holds
    shares = _shares(tokens, scores, request.sign, named, measured)
    sums: dict[str, float | None] = {rule: sum(getattr(each, rule) for each in shares) for rule in COMPUTED}
    sums["measured"] = sum(measured[each] for each in named) if len(measured) == len(named) else None
    return Explanation(
        prompt=text,
        prompt_ids=ids,
        token=tokens.text(token),
        token_id=token,
        against=None if against is None else tokens.text(against),
        against_id=against,
        value=bench.value,
        holds=holds,
        sums=sums,
        all_direct=float(scores.by_rule["direct"].double().sum()),
        tried=chosen.tried,
        neurons=shares,
        scores=scores,
    )


class _Bench:
    """The measurements of one prompt. A neuron that holds the target down counts as one of the sign -1."""

    def __init__(
        self,
        live: LiveModel,
        ids: Sequence[int],
        target: LogitTarget,
        scores: Scores,
        effects: Effects,
        request: ExplainRequest,
    ) -> None:
        self._live, self._ids, self._target, self._request = live, ids, target, request
        self._only_last = request.position == "last"
        self._signed = {rule: request.sign * values for rule, values in scores.by_rule.items()}
        self._effects = effects
        self._sizes_LN = scores.acts_LN.abs()
        self._alone: dict[Neuron, float] = {}
        self.value = effects.value(target)

    def holds(self, neurons: Sequence[Neuron]) -> float:
        """What the target loses with all of them at 0."""
        return -self._effects.change(spec_of(self._live, neurons, positions=self._request.position), self._target)

    def measured(self, neurons: Sequence[Neuron]) -> dict[Neuron, float]:
        """What it loses with each of the first ones alone at 0."""
        count = len(neurons) if self._request.rule == "measured" else self._request.verify
        return self._measure(neurons[:count])

    def chosen(self) -> Chosen:
        """The neurons that the rule names."""
        request = self._request
        if request.rule in COMPUTED:
            return Chosen(first(self._signed[request.rule], request.top))
        if request.rule == "measured":
            heads = (first(values, max(request.verify, request.top)) for values in self._signed.values())
            candidates = sorted({each for head in heads for each in head})
            measured = self._measure(candidates)
            candidates.sort(key=lambda each: -request.sign * measured[each])
            return Chosen(candidates[: request.top])
        starts = [*self._signed.values(), self._signed["gradient"] + self._signed["direct"], self._sizes_LN]
        return best_set(starts, self._signed["gradient"], request.top, self._signed_holds, self._without)

    def _measure(self, neurons: Sequence[Neuron]) -> dict[Neuron, float]:
        """Of each alone, measured once."""
        new = [each for each in neurons if each not in self._alone]
        specs = [spec_of(self._live, [each], positions=self._request.position) for each in new]
        changes = self._effects.changes(specs, self._target)
        self._alone |= {each: -change for each, change in zip(new, changes, strict=True)}
        return {each: self._alone[each] for each in neurons}

    def _signed_holds(self, neurons: Sequence[Neuron]) -> float:
        return self._request.sign * self.holds(neurons)

    def _without(self, neurons: Sequence[Neuron]) -> Tensor:
        spec = spec_of(self._live, neurons, positions=self._request.position)
        found_LN = attribution(self._live, self._ids, self._target, only_last=self._only_last, spec=spec)
        return self._request.sign * found_LN


def _shares(
    tokens: Tokens, scores: Scores, sign: int, neurons: Sequence[Neuron], measured: dict[Neuron, float]
) -> list[NeuronShare]:
    ranks = {rule: _ranks(sign * values_LN) for rule, values_LN in scores.by_rule.items()}
    activations = [float(scores.acts_LN[each]) for each in neurons]
    written = tokens.written(neurons, activations, WRITTEN)
    return [
        NeuronShare(
            format_neuron(*each),
            *each,
            activation,
            measured=measured.get(each),
            writes=writes,
            **{rule: float(values_LN[each]) for rule, values_LN in scores.by_rule.items()},
            **{f"rank_{rule}": int(ranks_LN[each]) for rule, ranks_LN in ranks.items()},
        )
        for each, activation, writes in zip(neurons, activations, written, strict=True)
    ]


def _ranks(scores_LN: Tensor) -> Tensor:
    """[L, N]: 1 for the largest."""
    order = torch.argsort(scores_LN.flatten(), descending=True, stable=True)
    ranks = torch.empty_like(order)
    ranks[order] = torch.arange(1, len(order) + 1)
    return ranks.view_as(scores_LN)
