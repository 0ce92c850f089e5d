"""Sampled answers of one batch, every answer with its own random numbers, and their losses (benchmarks/flash)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from atlas.live.cache import cache_argument
from atlas.live.model import LiveModel

TEMPERATURE = 0.8


@dataclass(frozen=True)
class Answer:
    """One answer: which question and seed it belongs to, its tokens (the end mark included), its text."""

    question: int
    seed: int
    ids: list[int]
    text: str


def sample(
    live: LiveModel, questions: Sequence[str], seeds: Sequence[int], n_new: int, edits: AbstractContextManager
) -> list[Answer]:
    """One answer per question and seed, at TEMPERATURE, inside `edits`; questions are the outer order.

    The questions are read once, left-padded, and their cache is repeated for the seeds. The random numbers of an
    answer depend on its question's place and its seed only, so the same pair meets the same ones in every arm.
    """
    uniform_RT = np.stack([np.random.default_rng([q, s]).random(n_new) for q in range(len(questions)) for s in seeds])
    ends = live.tokenizer.eos_token_id
    rows: list[Tensor] = []
    with torch.inference_mode(), edits:
        logits_RV, cache, mask_RT = _read(live, questions, len(seeds))
        for step in range(n_new):
            ids_R = _draw(logits_RV, torch.from_numpy(uniform_RT[:, step]))
            rows.append(ids_R)
            if step + 1 == n_new or bool((torch.stack(rows) == ends).any(0).all()):
                break
            mask_RT = torch.cat([mask_RT, mask_RT.new_ones(len(mask_RT), 1)], dim=1)
            output = live.model(
                input_ids=ids_R[:, None],
                attention_mask=mask_RT,
                position_ids=mask_RT.sum(1, keepdim=True) - 1,
                **{cache_argument(live.model.forward): cache},
                use_cache=True,
            )
            logits_RV = output.logits[:, -1]
    pairs = [(q, s) for q in range(len(questions)) for s in seeds]
    return [_answer(live, *pair, ids) for pair, ids in zip(pairs, torch.stack(rows, 1).tolist(), strict=True)]


def losses(live: LiveModel, questions: Sequence[str], answers: Sequence[Answer]) -> list[float]:
    """Summed loss (nats) of each answer after its question, under the model as it is.

    `answers` hold equally many per question, in the order of `sample`.
    """
    width = max(len(answer.ids) for answer in answers)
    ids_RT = torch.tensor([answer.ids + [0] * (width - len(answer.ids)) for answer in answers])
    real_RT = torch.tensor([[1] * len(answer.ids) + [0] * (width - len(answer.ids)) for answer in answers])
    with torch.inference_mode():
        first_RV, cache, mask_RT = _read(live, questions, len(answers) // len(questions))
        whole_RT = torch.cat([mask_RT, real_RT[:, :-1]], dim=1)
        places_RT = mask_RT.sum(1, keepdim=True) + torch.arange(width - 1)
        output = live.model(
            input_ids=ids_RT[:, :-1],
            attention_mask=whole_RT,
            position_ids=places_RT,
            **{cache_argument(live.model.forward): cache},
            use_cache=True,
        )
        logits_RTV = torch.cat([first_RV[:, None], output.logits], dim=1)
        loss_RT = torch.nn.functional.cross_entropy(logits_RTV.float().transpose(1, 2), ids_RT, reduction="none")
    return (loss_RT * real_RT).sum(1).tolist()


def _read(live: LiveModel, questions: Sequence[str], repeats: int) -> tuple[Tensor, DynamicCache, Tensor]:
    """(logits of the next token [R, V], cache, mask [R, T]) after the chat prompts, each repeated."""
    rows = [
        live.tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], add_generation_prompt=True, return_dict=True
        )["input_ids"]
        for question in questions
    ]
    width = max(map(len, rows))
    ids_QT = torch.tensor([[0] * (width - len(row)) + row for row in rows])
    mask_QT = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    cache = DynamicCache()
    output = live.model(
        input_ids=ids_QT,
        attention_mask=mask_QT,
        position_ids=(mask_QT.cumsum(1) - 1).clamp(min=0),
        **{cache_argument(live.model.forward): cache},
        use_cache=True,
        logits_to_keep=1,
    )
    cache.batch_repeat_interleave(repeats)
    return output.logits[:, -1].repeat_interleave(repeats, 0), cache, mask_QT.repeat_interleave(repeats, 0)


def _draw(logits_RV: Tensor, uniform_R: Tensor) -> Tensor:
    """[R] tokens by inversion of the cumulative distribution at TEMPERATURE."""
    cumulative_RV = (logits_RV.float() / TEMPERATURE).softmax(1).double().cumsum(1)
    targets_R1 = (uniform_R * cumulative_RV[:, -1])[:, None]
    return torch.searchsorted(cumulative_RV, targets_R1, right=True)[:, 0].clamp(max=logits_RV.shape[1] - 1)


def _answer(live: LiveModel, question: int, seed: int, ids: list[int]) -> Answer:
    end = live.tokenizer.eos_token_id
    if end in ids:
        ids = ids[: ids.index(end) + 1]
    return Answer(question, seed, ids, live.tokenizer.decode(ids, skip_special_tokens=True))
