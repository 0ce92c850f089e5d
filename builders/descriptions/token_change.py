"""Token change: how much likelier the tokens that a description names become when the neuron is clamped.

After arXiv 2501.08319, with our own edits on short prompts that are about nothing. Axes: P prompts, V tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor

from atlas.live.batching import encode
from atlas.live.check import next_logprobs
from atlas.live.intervene import intervene
from atlas.live.model import LiveModel
from atlas.spec.document import Edit, InterventionSpec, Tokenization
from atlas.spec.fields import reference_to
from builders.descriptions.evidence import SITE
from builders.descriptions.forms import form_of, named_in, names_of
from builders.descriptions.score import Score

PROMPTS = (
    "The",
    "I think that",
    "It was a",
    "There are many",
    "She said that",
    "This is the",
    "In the end, they",
    "We would like to",
)
"""Prompts that say little about what comes next."""
LONGEST_PROMPT = 64


class TokenChange:
    """Of one model. `tokens`: the vocabulary, (id, text)."""

    def __init__(self, live: LiveModel, tokens: list[tuple[int, str]]) -> None:
        self._live, self._tokens = live, tokens
        self._prompts = encode(live, PROMPTS, "{text}", LONGEST_PROMPT).input_ids
        self._forms: dict[str, list[int]] = {}
        for token_id, text in tokens:
            self._forms.setdefault(form_of(text), []).append(token_id)
        self._before_V = self._mean_probabilities()

    def changes(self, layer: int, neuron: int, value: float) -> Tensor:
        """[V] float64: mean over the prompts of each token's probability with the activation at `value`, less without.

        It is set at every token of the prompt. Raises ModelError where probabilities are no numbers.
        """
        live = self._live
        spec = InterventionSpec(
            model=reference_to(live),
            tokenization=Tokenization(add_bos=live.add_bos, chat_template=False),
            edits=(Edit(SITE, layer, neuron, "set", value),),
        )
        with intervene(live, spec):
            return self._mean_probabilities() - self._before_V

    def score(self, text: str, control: str | None, changes_V: Tensor) -> Score | None:
        """The change of all tokens together that `text` names; None where it names none of the vocabulary."""
        found = self._of(text, changes_V)
        if found is None:
            return None
        return Score(found, len(PROMPTS), None if control is None else self._of(control, changes_V))

    def _of(self, text: str, changes_V: Tensor) -> float | None:
        ids = [token_id for form in sorted(names_of(named_in(text))) for token_id in self._forms.get(form, ())]
        return float(changes_V[ids].double().sum()) if ids else None

    def _mean_probabilities(self) -> Tensor:
        total_V = torch.zeros(self._live.d_vocab, dtype=torch.float64)
        for ids in self._prompts:
            total_V += next_logprobs(self._live, ids).double().exp()
        return total_V / len(PROMPTS)
