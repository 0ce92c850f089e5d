"""Tokens by their text, and the tokens that neurons write."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch

from atlas.errors import UsageError
from atlas.live.model import LiveModel
from atlas.live.token_ids import token_ids
from atlas.live.vocabulary import both_ways, vocabulary_of


class Tokens:
    """The vocabulary of a model. `known`: its tokens as (id, text), where they have been read already."""

    def __init__(self, live: LiveModel, known: Iterable[tuple[int, str]] | None = None) -> None:
        self._live = live
        self._texts, self._ids = vocabulary_of(live) if known is None else both_ways(known)

    def text(self, token_id: int) -> str:
        """As a reader should see it; of a row of the LM head that the tokenizer does not know, [its number]."""
        return self._texts.get(token_id, f"[{token_id}]")

    def pieces(self, text: str) -> list[int]:
        """The tokens that the tokenizer makes of a text, without the one that stands for what it does not know."""
        unknown = self._live.tokenizer.unk_token_id
        return [piece for piece in token_ids(self._live, [text])[0] if piece != unknown]

    def has(self, text: str) -> bool:
        """Whether a token has exactly this text."""
        return text in self._ids

    def one(self, text: str) -> int:
        """The token of exactly this text. UsageError, with those that it is made of, where there is none."""
        found = self._ids.get(text, [])
        if len(found) == 1:
            return found[0]
        pieces = self.pieces(text)
        if len(found) > 1:
            return pieces[0] if len(pieces) == 1 and pieces[0] in found else found[0]
        parts = " ".join(repr(self.text(piece)) for piece in pieces[:8])
        hint = f"It is made of {parts}; name one of these." if pieces else "Name one with at least one character."
        if " " + text in self._ids:
            hint = f"There is {' ' + text!r}, with a space before it."
        raise UsageError(f"no token of {self._live.model_id} is {text[:60]!r}", hint)

    def written(self, neurons: Sequence[tuple[int, int]], activations: Sequence[float], top: int) -> list[list[str]]:
        """For each neuron the `top` tokens whose logits its w_out raises most when the activation has this sign."""
        if not neurons:
            return []
        live = self._live
        known_V = torch.tensor(list(self._texts), device=live.device)
        signs_K1 = torch.tensor([[-1.0 if value < 0 else 1.0] for value in activations], device=live.device)
        with torch.inference_mode():
            vectors_KD = torch.stack([live.weight("down_proj", layer)[neuron] for layer, neuron in neurons])
            logits_KV = (vectors_KD @ live.unembedding().T)[:, known_V].float() * signs_K1
            best_KT = known_V[logits_KV.topk(min(top, len(known_V)), dim=1).indices]
        return [[self.text(token_id) for token_id in row] for row in best_KT.tolist()]
