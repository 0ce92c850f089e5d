"""What edits of one prompt do to a logit: measured, by runs under specs."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from atlas.live.intervene import intervene, intervene_rows
from atlas.live.logits import LogitTarget
from atlas.live.model import LiveModel
from atlas.live.passes import Pass, run_pass
from atlas.spec.document import InterventionSpec

_FEW_TOKENS, _MOST_TOKENS = 64, 256
"""Tokens of a pass with edits of several layers, and of one: what is more saves nothing."""


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
        start = self.plain.starts.get(_first_layer(spec))
        with intervene(self._live, spec, prompt_lengths=self._n_tokens):
            edited = run_pass(self._live, self._ids, self._mask, cache=self._cache, start=start)
        return self._value(target, edited) - self.value(target)

    def changes(self, specs: Sequence[InterventionSpec], target: LogitTarget) -> list[float]:
        """What `change` gives of each spec, by fewer passes: each takes the edits of neighbouring layers as its rows.

        The specs have the same positions and phase. A row among others differs from one alone in the last bits.
        """
        if self._live.has_experts:  # tokens of all rows stand together in an expert
            return [self.change(spec, target) for spec in specs]
        found, plain = [0.0] * len(specs), self.value(target)
        for places in _groups([_first_layer(spec) for spec in specs], self._ids.shape[1]):
            n_rows, start = len(places), self.plain.starts.get(_first_layer(specs[places[0]]))
            if start is not None:
                start = start._replace(stream_BTD=start.stream_BTD.repeat(n_rows, 1, 1))
            with intervene_rows(self._live, [specs[place] for place in places], prompt_lengths=self._n_tokens):
                ids_BT, mask_BS = self._ids.repeat(n_rows, 1), self._mask.repeat(n_rows, 1)
                edited = run_pass(self._live, ids_BT, mask_BS, cache=self._cache, start=start)
            values_B = target.of(self._live, edited.final_BTD[:, -1])
            for place, value in zip(places, values_B.tolist(), strict=True):
                found[place] = value - plain
        return found

    def _value(self, target: LogitTarget, done: Pass) -> float:
        return float(target.of(self._live, done.final_BTD[:, -1]))


def _first_layer(spec: InterventionSpec) -> int:
    return min(edit.layer for edit in spec.edits)


def _groups(layers: Sequence[int], n_tokens: int) -> list[list[int]]:
    """Which edits share a pass, which begins at the lowest of their layers: places in `layers`, by ascending layer.

    A few tokens cost hardly more than one, as the weights are read either way: so edits of several layers go together.
    """
    groups: list[list[int]] = []
    for place in sorted(range(len(layers)), key=lambda each: layers[each]):
        last = groups[-1] if groups else []
        most = _MOST_TOKENS if last and layers[place] == layers[last[0]] else _FEW_TOKENS
        if last and (len(last) + 1) * n_tokens <= most:
            last.append(place)
        else:
            groups.append([place])
    return groups
