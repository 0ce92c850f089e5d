"""A LiveModel as the LM Evaluation Harness wants one, under a spec's edits, with our idea of what the prompt is."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from itertools import groupby
from math import isfinite
from typing import Any

from atlas.errors import QuestionError
from atlas.extras import require
from atlas.live.intervene import intervene
from atlas.live.model import LiveModel
from atlas.spec.document import InterventionSpec

_LOGITS = 1 << 27
"""Logits of a pass: the harness takes those of every token, here 512 MB in float32."""
_ROWS = 64
"""Texts that the harness cuts into windows at once."""

Request = tuple[Any, list[int], list[int]]
"""(its texts, tokens of the context, tokens of the continuation)"""
Answer = tuple[float, bool]
"""(log-probability of the continuation, whether each of its tokens is the most probable one)"""


class EditedModel:
    """`harness`: an HFLM around a LiveModel whose passes are edited by `spec` (None: not at all).

    What a task scores a continuation after is the prompt, and the continuation counts as generated, so position
    `last` and the phases act as they do while the model writes it. Of a text that is scored from its beginning
    the prompt is what the harness puts before it: one token, or in a later window the tokens before.

    A pass has about `batch_tokens` tokens with its padding. The model is read only, and the tokenizer is copied.
    Raises MissingExtraError where the harness is not installed.
    """

    def __init__(
        self, live: LiveModel, spec: InterventionSpec | None, batch_tokens: int, override_model: bool = False
    ) -> None:
        self._live, self._spec, self._override = live, spec, override_model
        self._room = max(1, min(batch_tokens, _LOGITS // live.d_vocab))
        hflm = require("lm_eval.models.huggingface", extra="lm-eval", why="to run lm-eval tasks").HFLM
        # The harness gives the tokenizer a padding token.
        tokenizer = copy.deepcopy(live.tokenizer)
        self.harness: Any = hflm(live.model, tokenizer=tokenizer, add_bos_token=live.add_bos, batch_size=_ROWS)
        self._plain_scores, self._plain_texts = self.harness._loglikelihood_tokens, self.harness.generate_until
        self.harness._loglikelihood_tokens, self.harness.generate_until = self._scores, self._texts

    def _scores(self, requests: Iterable[Request], *args: Any, **kwargs: Any) -> list[Answer]:
        """As the harness's own, edited: whatever it asks is asked through this method.

        Requests with prompts of one length go together. Raises QuestionError for NaN and infinity.
        """
        ordered = sorted(enumerate(requests), key=lambda numbered: self._prompt_length(numbered[1]))
        found: dict[int, Answer] = {}
        for length, group in groupby(ordered, key=lambda numbered: self._prompt_length(numbered[1])):
            numbers, some = zip(*group, strict=True)
            self._set_rows(max(len(context) + len(continuation) - 1 for _, context, continuation in some))
            with self._edited(length):
                found |= zip(numbers, self._plain_scores(list(some), *args, **kwargs), strict=True)
        self.harness.batch_size_per_gpu = _ROWS
        if not all(isfinite(value) for value, _ in found.values()):
            raise QuestionError("the edits make log-probabilities that are no finite numbers", "Use smaller values.")
        return [found[number] for number in range(len(found))]

    def _texts(self, requests: list[Any], *args: Any, **kwargs: Any) -> list[str]:
        """As the harness's own, edited. What is a prompt, `generate` itself tells."""
        longest = max((len(self.harness.tok_encode(request.args[0])) for request in requests), default=1)
        self._set_rows(longest + self.harness.max_gen_toks)
        with self._edited(None):
            texts: list[str] = self._plain_texts(requests, *args, **kwargs)
        return texts

    def _set_rows(self, longest: int) -> None:
        self.harness.batch_size_per_gpu = max(1, self._room // min(longest, self.harness.max_length))

    def _edited(self, prompt_length: int | None) -> AbstractContextManager[None]:
        if self._spec is None:
            return nullcontext()
        return intervene(self._live, self._spec, override_model=self._override, prompt_lengths=prompt_length)

    def _prompt_length(self, request: Request) -> int:
        """How many tokens of the pass are context: it is cut from the left to what the model takes."""
        _, context, continuation = request
        room: int = self.harness.max_length + 1 - len(continuation)
        return max(1, min(len(context), room))
