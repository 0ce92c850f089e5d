"""How a model is asked, by its head: for the token after a prompt, for the one at its mask, or for its own label."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from atlas.live.batching import encode
from atlas.live.model import LiveModel
from builders.evaluation.classifier import classifier_log_probs, classifier_prompts
from builders.evaluation.edited import Edits
from builders.evaluation.label_words import LabelWords, columns, measured, spellings
from builders.evaluation.masked import mask_log_probs, mask_tokens, masked_losses, masked_prompts, n_masked
from builders.evaluation.metrics.base import MASKED_TEXT, TEXT
from builders.evaluation.prompts import Prompts, label_tokens, make_prompts
from builders.evaluation.scoring import next_log_probs, text_losses

Scores = tuple[list[np.ndarray], LabelWords]


class Texts(NamedTuple):
    """Token ids of the texts of which something is predicted; how many texts were cut, and how many are left out."""

    input_ids: list[list[int]]
    n_cut: int
    n_short: int


class Way:
    """Of a language model: label words after the prompt, and the perplexity of texts."""

    of_texts = TEXT
    """Which metrics are those of other texts."""
    make_prompts = staticmethod(make_prompts)
    """The prompts of examples (builders/evaluation/prompts.py)."""
    _tokens: Callable[[LiveModel, str, Mapping[str, str]], list[int]] = staticmethod(label_tokens)
    _log_probs: Callable[..., list[np.ndarray]] = staticmethod(next_log_probs)
    losses: Callable[..., np.ndarray] = staticmethod(text_losses)
    """Summed negative log-probabilities of texts (builders/evaluation/scoring.py)."""

    def numbers(self, prompts: Prompts) -> dict[str, int]:
        """What `gold` calls each concept."""
        return {concept: number for number, concept in enumerate(prompts.concepts)}

    def scores(
        self,
        live: LiveModel,
        prompts: Prompts,
        labels: Mapping[str, str],
        template: str,
        edits: Sequence[Edits],
        **options: Any,
    ) -> Scores:
        """logprob_EC of each of `edits`, the first of which is none, and what the words hold of the model's answer.

        How else the label words could be written matters for the model itself alone, the first arm.
        """
        others = spellings(live, template, labels, self._tokens)
        n_labels = len(prompts.concepts)
        more = [columns(prompts.label_tokens, others), *[prompts.label_tokens] * (len(edits) - 1)]
        first_EK, *edited_A = self._log_probs(live, prompts.input_ids, more, edits, **options)
        return [first_EK[:, :n_labels], *edited_A], measured(first_EK, others, n_labels)

    def texts(self, live: LiveModel, texts: Sequence[str], max_tokens: int) -> Texts:
        """Those of `texts` that have a token to predict."""
        encoded, n_cut = encode(live, list(texts), "{text}", max_tokens)
        kept = [ids for ids in encoded if self.n_predicted(live, ids) > 0]
        return Texts(kept, n_cut, len(encoded) - len(kept))

    def n_predicted(self, live: LiveModel, ids: Sequence[int]) -> int:
        """How many tokens of a text are predicted: all but the first."""
        return len(ids) - 1


class MaskedWay(Way):
    """Of a masked language model: label words at the mask, and the pseudo-perplexity of texts."""

    of_texts = MASKED_TEXT
    make_prompts = staticmethod(masked_prompts)
    _tokens = staticmethod(mask_tokens)
    _log_probs = staticmethod(mask_log_probs)
    losses = staticmethod(masked_losses)

    def n_predicted(self, live: LiveModel, ids: Sequence[int]) -> int:
        """All but the special tokens around the text."""
        return n_masked(live, ids)


class ClassifierWay(Way):
    """Of a classifier: its own labels; nothing of other texts."""

    make_prompts = staticmethod(classifier_prompts)

    def numbers(self, prompts: Prompts) -> dict[str, int]:
        """The numbers of the labels."""
        return dict(zip(prompts.concepts, prompts.label_tokens, strict=True))

    def scores(
        self,
        live: LiveModel,
        prompts: Prompts,
        labels: Mapping[str, str],
        template: str,
        edits: Sequence[Edits],
        **options: Any,
    ) -> Scores:
        """logprob_EC of all labels, which hold all of the probability."""
        return classifier_log_probs(live, prompts.input_ids, edits, **options), LabelWords(1.0, None, None)

    def texts(self, live: LiveModel, texts: Sequence[str], max_tokens: int) -> Texts:
        """None: a classifier predicts no token."""
        return Texts([], 0, 0)


_WAYS = {"lm": Way(), "mlm": MaskedWay(), "classifier": ClassifierWay()}


def way_of(live: LiveModel) -> Way:
    """How this model is asked. ModelError for an encoder without a head, which answers nothing."""
    if live.head_kind not in _WAYS:
        live.require_generation("evaluate")
    return _WAYS[live.head_kind]
