"""What a norm did to one input, as the linear map that it was: its scale there, held fixed."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from atlas.live.model import LiveModel


class FixedNorm(NamedTuple):
    """A norm with the scales `scale_X1` that it had: x -> (x - mean of x, where `centred`) * scale * gain, no bias."""

    scale_X1: Tensor
    gain_D: Tensor
    centred: bool

    def forward(self, x_XD: Tensor) -> Tensor:
        """The map, of inputs in their own dtype."""
        if self.centred:
            x_XD = x_XD - x_XD.mean(-1, keepdim=True)
        return x_XD * (self.scale_X1 * self.gain_D).to(x_XD.dtype)

    def backward(self, out_XD: Tensor) -> Tensor:
        """The transposed map: what a direction of the output is as a direction of the input."""
        at_XD = out_XD * self.scale_X1 * self.gain_D
        return at_XD - at_XD.mean(-1, keepdim=True) if self.centred else at_XD


def fixed_norm(live: LiveModel, module: nn.Module, input_XD: Tensor, output_XD: Tensor) -> FixedNorm:
    """`module`, a norm of the kind of the final one, as it was when it made `output_XD` of `input_XD`; float32.

    The scale is found from what the module gave, so that no epsilon has to be known.
    """
    norm = live.final_norm
    centred = norm.kind == "layer"
    with torch.no_grad():
        ones_D = torch.ones(input_XD.shape[-1], device=input_XD.device)
        gain_D = live.values_in(module, "weight").float().to(ones_D) + norm.offset if norm.has_weight else ones_D
        x_XD, y_XD = input_XD.detach().double(), output_XD.detach().double()
        if getattr(module, "bias", None) is not None:
            y_XD = y_XD - live.values_in(module, "bias").double().to(input_XD.device)
        if centred:
            x_XD = x_XD - x_XD.mean(-1, keepdim=True)
        plain_XD = x_XD * gain_D.double()
        size_X1 = plain_XD.square().sum(-1, keepdim=True)
        scale_X1 = (y_XD * plain_XD).sum(-1, keepdim=True) / size_X1
        scale_X1 = torch.where(size_X1 > 0, scale_X1, 0.0)
    return FixedNorm(scale_X1.float(), gain_D, centred)


def is_norm(live: LiveModel, module: nn.Module) -> bool:
    """Whether it is a norm of the kind of the final one; the supported families have no other kind."""
    return isinstance(module, type(live.submodule(live.final_norm.module)))
