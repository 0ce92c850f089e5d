"""The tokens that all prompts begin with (few-shot examples, an instruction), read once per arm."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import torch

from atlas.live.model import LiveModel
from atlas.live.passes import cache_bytes, run_pass
from builders.evaluation.edited import Budget, Edits, edited, only_the_last_token

MIN_LENGTH = 4
"""Shorter prefixes are not worth a cache."""


class SharedPrefix:
    """The common prefix of token lists; `length` is 0 where sharing one is not possible or not worth it.

    Every prompt keeps at least one token of its own. The caches of as many arms are kept as fit into the
    memory of the budget; the others are made anew whenever they are asked for.
    """

    def __init__(
        self,
        live: LiveModel,
        prompts: Sequence[Sequence[int]],
        specs: Sequence[Edits],
        budget: Budget,
        override_model: bool,
    ) -> None:
        self._live, self._specs, self._override = live, specs, override_model
        self._memory = budget.memory
        self._kept: dict[int | None, Any] = {}
        self.length = self._common(prompts)
        self._ids = list(prompts[0][: self.length]) if prompts else []

    def cache(self, arm: int | None) -> Any:
        """Key-value cache (a batch of 1) of the prefix under an arm's spec; None where there is no prefix.

        `arm` None is the model itself. Call it outside of any edits.
        """
        if not self.length:
            return None
        spec = None if arm is None else self._specs[arm]
        if only_the_last_token(spec):
            arm, spec = None, None
        if arm in self._kept:
            return self._kept[arm]
        ids = torch.tensor([self._ids], device=self._live.device)
        # One more token than these at least, so that `last` is none of them.
        with edited(self._live, spec, self.length + 1, self._override):
            cache = run_pass(self._live, ids, torch.ones_like(ids), keep_cache=True).cache
        size = cache_bytes(cache)
        if size <= self._memory:
            self._memory -= size
            self._kept[arm] = cache
        return cache

    def _common(self, prompts: Sequence[Sequence[int]]) -> int:
        if len(prompts) < 2 or self._live.adapter.recurrent:
            return 0
        pairs = zip(min(prompts), max(prompts), strict=False)  # in between, all begin as these two do
        common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        length = min(common, min(map(len, prompts)) - 1)
        window = self._live.sliding_window
        if length < MIN_LENGTH or (window and max(map(len, prompts)) > window):
            # Padding stands between prefix and rest, and a sliding window would count it.
            return 0
        return length
