"""What is explained of a prompt: the logit of one next token, or how far it is above that of another."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from atlas.live.model import LiveModel


@dataclass(frozen=True)
class LogitTarget:
    """The logit of `token`, minus that of `against` where there is one.

    Of a model that caps its logits it is what the LM head gives, before the cap: the cap is one function of it, and
    only without it do contributions add up.
    """

    token: int
    against: int | None = None

    def direction(self, live: LiveModel) -> Tensor:
        """[d_model] float32: what the final state is multiplied with."""
        rows_VD = live.unembedding()
        own_D = rows_VD[self.token].float()
        return own_D if self.against is None else own_D - rows_VD[self.against].float()

    def of(self, live: LiveModel, final_ND: Tensor) -> Tensor:
        """[N] float64: its value at each of N states after the final norm."""
        values_N: Tensor = final_ND.double() @ self.direction(live).double()
        head = live.model.get_output_embeddings()
        if getattr(head, "bias", None) is None:
            return values_N
        bias_V = live.values_in(head, "bias")
        other = 0.0 if self.against is None else bias_V[self.against].double()
        bias: Tensor = bias_V[self.token].double() - other
        return values_N + bias


def top_tokens(live: LiveModel, final_D: Tensor, count: int) -> list[int]:
    """The `count` likeliest next tokens after a state [d_model] behind the final norm, likeliest first."""
    with torch.inference_mode():
        logits_V = live.model.get_output_embeddings()(final_D[None])[0].float()
    order: list[int] = logits_V.sort(descending=True, stable=True).indices[:count].tolist()
    return order
