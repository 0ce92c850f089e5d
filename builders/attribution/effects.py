"""What edits of one prompt do to a logit: measured, by runs under specs."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from atlas.live.intervene import intervene
from atlas.live.logits import LogitTarget
from atlas.live.model import LiveModel
from atlas.live.passes import Pass, run_pass
from atlas.spec.document import InterventionSpec


class Effects:
    """What is predicted after one prompt, without edits (`plain`) and under any number of specs.

    What specs cannot change is computed once: the blocks below the first that is edited and, where only the last token
    is edited (`only_last`), the tokens before it.
    """

    def __init__(self, live: LiveModel, ids: Sequence[int], *, only_last: bool) -> None:
        self._live, self._n_tokens = live, len(ids)
        ids_1T = torch.tensor([list(ids)], device=live.device)
        self._mask = torch.ones_like(ids_1T)
        window = live.sliding_window
        whole = live.adapter.recurrent or (window and len(ids) > window)
        split = len(ids) - 1 if only_last and not whole else 0
        self._cache = None
        if split:
            self._cache = run_pass(live, ids_1T[:, :split], self._mask[:, :split], keep_cache=True).cache
        self._ids = ids_1T[:, split:]
        self.plain = run_pass(live, self._ids, self._mask, cache=self._cache, stops=range(1, live.n_layers))

    def value(self, target: LogitTarget) -> float:
        """The target without edits."""
        return self._value(target, self.plain)

    def change(self, spec: InterventionSpec, target: LogitTarget) -> float:
        """By how much the edits raise the target. Raises as `intervene` does."""
        start = self.plain.starts.get(min(edit.layer for edit in spec.edits))
        with intervene(self._live, spec, prompt_lengths=self._n_tokens):
            edited = run_pass(self._live, self._ids, self._mask, cache=self._cache, start=start)
        return self._value(target, edited) - self.value(target)

    def _value(self, target: LogitTarget, done: Pass) -> float:
        return float(target.of(self._live, done.final_BTD[:, -1]))
