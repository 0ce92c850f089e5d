"""How common tokens are, as the logarithm of a frequency up to a constant: from the best source there is.

`texts`: counts in the running text of the same build, if that has ENOUGH tokens or more for each of the vocabulary, and
its words may be stored. `merges`: a tokenizer of byte pairs merged the most frequent pair first, so the order
of its merges ranks the tokens that they make; by Zipf's law the logarithm of a frequency falls with the logarithm of
the rank. `token ids`: the same by the order of ids, for a tokenizer without merges; special and added tokens, whose ids
say nothing, have no frequency. Tokens that a source says nothing of take no part.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from builders.build.plan import Plan

TEXTS, MERGES, TOKEN_IDS = "texts", "merges", "token ids"
ENOUGH = 10
"""Tokens of running text for each token of the vocabulary: with fewer, most counts are of a few or none."""


@dataclass(frozen=True)
class Frequency:
    """`token_S`: places in the plan's tokens, ascending; `log_S`: log frequency of each, float64, up to a constant."""

    source: str
    token_S: np.ndarray
    log_S: np.ndarray


def are_texts_a_source(plan: Plan) -> bool:
    """Whether the running text of the build tells how common tokens are; counts nothing."""
    texts = plan.running_text
    return texts is not None and texts.has_words and plan.config.words and texts.n_counted >= ENOUGH * plan.live.d_vocab


def counts_in_texts(plan: Plan) -> dict[int, int] | None:
    """How often each token id stands in the running text of the build; None where that is no source."""
    texts = plan.running_text
    if texts is None or not are_texts_a_source(plan):
        return None
    counts_V = texts.token_counts(plan.live.d_vocab)
    ids = np.flatnonzero(counts_V)
    return dict(zip(ids.tolist(), counts_V[ids].tolist(), strict=True))


def token_frequency(plan: Plan, counts: Mapping[int, int] | None = None) -> Frequency:
    """The frequency of the plan's tokens; `counts`: how often each token id stands in running text, where known."""
    place = {token_id: index for index, (token_id, _) in enumerate(plan.tokens)}
    if counts:
        return _of(TEXTS, {place[i]: float(np.log(n)) for i, n in counts.items() if n > 0 and i in place})
    if ranked := _merged(plan.live.tokenizer):
        return _of(MERGES, {place[i]: -float(np.log(rank)) for i, rank in ranked.items() if i in place})
    without = {*plan.live.tokenizer.all_special_ids, *_added(plan.live.tokenizer)}
    plain = [index for token_id, index in place.items() if token_id not in without]
    return _of(TOKEN_IDS, {index: -float(np.log(rank)) for rank, index in enumerate(plain, start=1)})


def no_frequency() -> Frequency:
    """Of no token: for outputs that are no tokens."""
    return _of(TOKEN_IDS, {})


def _of(source: str, logs: dict[int, float]) -> Frequency:
    token_S = np.array(sorted(logs), np.int64)
    return Frequency(source, token_S, np.array([logs[index] for index in token_S.tolist()], np.float64))


def _merged(tokenizer: Any) -> dict[int, int]:
    """Token id -> place of the first merge that makes it, from 1; empty for a tokenizer without merges."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    model = json.loads(backend.to_str())["model"] if backend is not None else {}
    vocabulary, ranked = model.get("vocab"), dict[int, int]()
    for rank, pair in enumerate(model.get("merges") or (), start=1):
        text = pair.replace(" ", "") if isinstance(pair, str) else "".join(pair)
        if (token_id := vocabulary.get(text)) is not None:
            ranked.setdefault(token_id, rank)
    return ranked


def _added(tokenizer: Any) -> set[int]:
    return set(getattr(tokenizer, "added_tokens_decoder", {}))
