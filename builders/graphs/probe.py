"""The activation of one neuron at tokens of sequences that are made up, by the live model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from atlas.errors import ModelError
from atlas.live.batching import batches
from atlas.live.capture import capture
from atlas.live.model import LiveModel

Tokens = tuple[int, ...]


class Probe:
    """One neuron of one site. It remembers what it has read."""

    def __init__(self, live: LiveModel, site: str, layer: int, neuron: int, batch_tokens: int) -> None:
        self._live, self._site, self._layer, self._neuron = live, site, layer, neuron
        self._batch_tokens = batch_tokens
        self._known: dict[Tokens, float] = {}

    def last(self, sequences: Sequence[Tokens]) -> list[float]:
        """The activation at the last token of each sequence. Raises ModelError for one that is no number."""
        new = list(dict.fromkeys(each for each in sequences if each not in self._known))
        for tokens, activations in zip(new, self.all(new), strict=True):
            self._known[tokens] = float(activations[-1])
        return [self._known[each] for each in sequences]

    def all(self, texts: Sequence[Tokens]) -> list[np.ndarray]:
        """The activation at each token of each text, float32. Raises as `last`."""
        found: list[np.ndarray] = [np.empty(0, np.float32)] * len(texts)
        for batch in batches(texts, max(self._batch_tokens, *map(len, texts))) if texts else ():
            held: list[Tensor] = []
            capture(
                self._live,
                batch.input_ids,
                batch.attention_mask,
                [self._site],
                [self._layer],
                lambda site, layer, acts_BTN, held=held: held.append(acts_BTN[..., self._neuron].float().cpu()),
            )
            for row, index in enumerate(batch.indices):
                found[index] = held[0][row, : len(texts[index])].numpy()
        if not all(np.isfinite(each).all() for each in found):
            raise ModelError(
                f"{self._live.model_id} gives activations that are no finite numbers", "Try --dtype float32."
            )
        return found


def nearest_tokens(embedding_VD: Tensor, token: int, n: int, allowed_V: Tensor) -> list[int]:
    """The `n` tokens whose input embeddings have the largest cosine to that of `token`; of equals the lower id first.

    `allowed_V`: those that may be taken; the token itself never is.
    """
    with torch.inference_mode():
        own_D = embedding_VD[token].float()
        lengths_V = embedding_VD.float().norm(dim=1).clamp(min=1e-30)
        cosine_V = (embedding_VD.float() @ own_D) / lengths_V
        cosine_V = cosine_V.masked_fill(~allowed_V, -torch.inf)
        cosine_V[token] = -torch.inf
        order = cosine_V.sort(descending=True, stable=True).indices[:n]
        return [int(each) for each in order if cosine_V[each] > -torch.inf]
