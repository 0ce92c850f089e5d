"""What each arm makes of each text: log-probabilities of label tokens after a prompt, and of a text's own tokens.

Texts are worked on in batches of similar length, all arms on one batch after the other, so that what the arms
share is computed once per batch and nothing of it outlives the batch. See atlas/live/passes.py for the two shortcuts.

Axes: A arms, E texts, C label tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from atlas.errors import QuestionError
from atlas.live.batching import batches
from atlas.live.model import LiveModel
from atlas.live.passes import Pass, affordable_starts, log_probs, run_pass
from builders.evaluation.edited import (
    DEFAULT_BUDGET,
    Budget,
    Edits,
    edited,
    first_layer,
    only_the_last_token,
    stream_bytes,
)
from builders.evaluation.prefix import SharedPrefix

Advance = Callable[[int], None]


def label_log_probs(
    live: LiveModel,
    prompts: Sequence[Sequence[int]],
    label_tokens: Sequence[int],
    specs: Sequence[Edits],
    *,
    budget: Budget = DEFAULT_BUDGET,
    override_model: bool = False,
    advance: Advance = lambda n: None,
) -> np.ndarray:
    """logprob_AEC, float64: of each label token after each prompt, under each spec. See `next_log_probs`."""
    tokens_A = [label_tokens] * len(specs)
    options = {"budget": budget, "override_model": override_model, "advance": advance}
    return np.stack(next_log_probs(live, prompts, tokens_A, specs, **options))


def next_log_probs(
    live: LiveModel,
    prompts: Sequence[Sequence[int]],
    tokens_A: Sequence[Sequence[int]],
    specs: Sequence[Edits],
    *,
    budget: Budget = DEFAULT_BUDGET,
    override_model: bool = False,
    advance: Advance = lambda n: None,
) -> list[np.ndarray]:
    """logprob_EK, float64, of each spec (None: no edit): of its own K `tokens_A[arm]` after each prompt.

    Everything of a prompt counts as prompt, its last token as `last`. `advance(1)` after each text and arm.
    """
    columns_A = [torch.tensor(tokens, device=live.device) for tokens in tokens_A]
    prefix = SharedPrefix(live, prompts, specs, budget, override_model)
    rests = [ids[prefix.length :] for ids in prompts]
    out_A = [np.empty((len(prompts), len(tokens))) for tokens in tokens_A]
    for batch in batches(rests, budget.batch_tokens):
        shared = _SharedBatch(live, prefix, [rests[index] for index in batch.indices], specs, budget)
        for arm, columns_K in enumerate(columns_A):
            last_BD = shared.final(arm, override_model)
            found_BK = log_probs(live, last_BD, lambda logprob_SV, rows, k=columns_K: logprob_SV[:, k])
            out_A[arm][batch.indices] = _numbers(found_BK)
            advance(len(batch.indices))
    return out_A


def text_losses(
    live: LiveModel,
    texts: Sequence[Sequence[int]],
    specs: Sequence[Edits],
    *,
    budget: Budget = DEFAULT_BUDGET,
    override_model: bool = False,
    advance: Advance = lambda n: None,
) -> np.ndarray:
    """nll_AE, float64: summed negative log-probability in nats of tokens 1.. of each text (2 tokens or more).

    Token 0 counts as the prompt and the rest as generated, so edits at position `last` and of phase
    `generated` act on a text as they do while the model writes it.
    """
    out_AE = np.empty((len(specs), len(texts)))
    for batch in batches(texts, budget.batch_tokens):
        ids_BT, mask_BT = batch.input_ids.to(live.device), batch.attention_mask.to(live.device)
        plain = plain_pass(live, ids_BT, mask_BT, None, specs, budget)
        for arm, spec in enumerate(specs):
            with edited(live, spec, 1, override_model):
                done = plain.under(spec)
            out_AE[arm, batch.indices] = _losses(live, done.final_BTD, ids_BT, mask_BT)
            advance(len(batch.indices))
    return out_AE


@dataclass(frozen=True)
class Plain:
    """A pass over a batch without edits, if any arm needs one, and where each arm begins."""

    live: LiveModel
    ids_BT: Tensor
    mask: Tensor
    done: Pass | None
    start_of: Mapping[int, int]

    def under(self, spec: Edits, cache: Any = None) -> Pass:
        """The same pass with the edits of `spec`, whose hooks are registered, after the tokens of `cache`."""
        if spec is None:
            assert self.done is not None  # it is made wherever an arm is the model itself
            return self.done
        start = self.done.starts.get(self.start_of[first_layer(spec)]) if self.done is not None else None
        return run_pass(self.live, self.ids_BT, self.mask, cache=cache, start=start)


def plain_pass(
    live: LiveModel, ids_BT: Tensor, mask: Tensor, cache: Any, specs: Sequence[Edits], budget: Budget
) -> Plain:
    start_of = affordable_starts(map(first_layer, specs), stream_bytes(live, ids_BT.numel()), budget.memory)
    stops = sorted(set(start_of.values()) - {0})
    needed = stops or None in specs
    done = run_pass(live, ids_BT, mask, cache=cache, stops=stops) if needed else None
    return Plain(live, ids_BT, mask, done, start_of)


class _SharedBatch:
    """One batch of prompts (left-padded, after the common prefix) and what its arms have in common."""

    def __init__(
        self, live: LiveModel, prefix: SharedPrefix, rests: list[Sequence[int]], specs: Sequence[Edits], budget: Budget
    ) -> None:
        self._live, self._prefix, self._specs = live, prefix, specs
        ids_BT, mask_BT = _left_padded(rests)
        ids_BT = ids_BT.to(live.device)
        before = torch.ones(len(rests), prefix.length, dtype=mask_BT.dtype)
        mask = torch.cat([before, mask_BT], dim=1).to(live.device)
        self._lengths_B = mask.sum(1)
        cache = prefix.cache(None)
        self._whole = self._tail = self._tail_cache = None
        # Arms that edit only the last token share all tokens before it. The model itself goes with them, but not
        # alone: the pass that the other arms share is already the model's own.
        self._in_tail = [only_the_last_token(spec) for spec in specs]
        if not any(inside and spec is not None for inside, spec in zip(self._in_tail, specs, strict=True)):
            self._in_tail = [all(spec is None for spec in specs)] * len(specs)
        if live.adapter.recurrent:
            self._in_tail = [False] * len(specs)
        if whole := [spec for inside, spec in zip(self._in_tail, specs, strict=True) if not inside]:
            self._whole = plain_pass(live, ids_BT, mask, cache, whole, budget)
        if tail := [spec for inside, spec in zip(self._in_tail, specs, strict=True) if inside]:
            if ids_BT.shape[1] > 1:
                cache = run_pass(live, ids_BT[:, :-1], mask[:, :-1], cache=cache, keep_cache=True).cache
            self._tail_cache = cache
            self._tail = plain_pass(live, ids_BT[:, -1:], mask, cache, tail, budget)

    def final(self, arm: int, override_model: bool) -> Tensor:
        """[B, D] final state of each prompt's last token under an arm."""
        spec = self._specs[arm]
        plain, cache = self._tail, self._tail_cache
        if not self._in_tail[arm]:
            plain, cache = self._whole, self._prefix.cache(arm)
        with edited(self._live, spec, self._lengths_B, override_model):
            return plain.under(spec, cache).final_BTD[:, -1]


def _left_padded(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """(input_ids, mask), int64 [B, T]: the last token of every row is in the last column."""
    longest = max(map(len, rows))
    ids_BT = torch.zeros(len(rows), longest, dtype=torch.int64)
    mask_BT = torch.zeros_like(ids_BT)
    for row, ids in enumerate(rows):
        ids_BT[row, longest - len(ids) :] = torch.tensor(ids)
        mask_BT[row, longest - len(ids) :] = 1
    return ids_BT, mask_BT


def _losses(live: LiveModel, final_BTD: Tensor, ids_BT: Tensor, mask_BT: Tensor) -> np.ndarray:
    real_BT = mask_BT[:, 1:].bool()
    targets_N = ids_BT[:, 1:][real_BT]
    found_N = log_probs(
        live,
        final_BTD[:, :-1][real_BT],
        lambda logprob_SV, rows: logprob_SV.gather(1, targets_N[rows, None])[:, 0],
    )
    nll_BT = torch.zeros(real_BT.shape, dtype=torch.float64, device=found_N.device)
    nll_BT[real_BT] = -found_N.double()
    return _numbers(nll_BT.sum(1))


def _numbers(found: Tensor) -> np.ndarray:
    """float64; QuestionError where the edits drive the model out of the numbers of its type."""
    if not torch.isfinite(found).all():
        raise QuestionError("the edits make log-probabilities that are no finite numbers", "Use smaller values.")
    return found.double().cpu().numpy()
