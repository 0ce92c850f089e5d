"""RelP (arXiv 2508.21258): a backward pass by rules of layer-wise relevance propagation in place of derivatives.

Within `relevance(live)` a forward pass gives what it gives, and a backward pass through it is that of a model in which

- a norm is the linear map that it was (its scale is a constant; the paper's LN rule),
- attention is the mixture that it was (its weights are constants; the AH rule),
- an activation function is the factor that it was, act(x) / x (the identity rule),
- a product of two branches gives each half (the half rule).

So what goes back from a logit is how much of it each activation holds, rather than how steeply it rises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from atlas.errors import ModelError
from atlas.live.model import LiveModel
from atlas.live.norms import fixed_norm, is_norm
from atlas.live.taps import OnTensor


@contextmanager
def relevance(live: LiveModel) -> Iterator[None]:
    """Backward passes through forward passes inside the block go by the rules above. No hook stays behind.

    Raises ModelError at the end of the block where attention was computed in a way that was not seen.
    """
    attention = _ConstantAttention()
    with ExitStack() as undo:
        for module in live.base.modules():
            if is_norm(live, module):
                undo.callback(module.register_forward_hook(_linear_norm(live)).remove)
        for layer in range(live.n_layers):
            for site, hook in _mlp_hooks(live.gated).items():
                undo.callback(live.tap(site, layer).register(hook).remove)
        with attention:
            yield
    if attention.seen < live.n_layers:
        raise ModelError(
            f"attention of {live.model_id} is computed by something that cannot be held constant",
            "Leave out relp.",
        )


class _ConstantAttention(TorchFunctionMode):
    """Queries and keys, and the weights that are made of them, send nothing back."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named = dict(kwargs or {})
        if func is functional.scaled_dot_product_attention:
            self.seen += 1
            for name in named.keys() & {"query", "key"}:
                named[name] = named[name].detach()
            return func(*(value.detach() for value in args[:2]), *args[2:], **named)
        found = func(*args, **named)
        if func is functional.softmax:  # of attention, the one use in these models
            self.seen += 1
            return found.detach()
        return found


def _linear_norm(live: LiveModel) -> Callable[[nn.Module, tuple[Any, ...], Tensor], Tensor]:
    def hook(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        return _with_gradient_of(output, fixed_norm(live, module, args[0], output).forward(args[0]))

    return hook


def _mlp_hooks(gated: bool) -> dict[str, OnTensor]:
    """For each site of one MLP: neuron activations become shares of what they are products of."""
    factors: list[Tensor] = []

    def keep(x_BTN: Tensor) -> None:
        factors.append(x_BTN)

    def share(acts_BTN: Tensor) -> Tensor:
        given = sum(x_BTN * _ratio(acts_BTN, x_BTN) for x_BTN in factors) / len(factors)
        factors.clear()
        assert isinstance(given, Tensor)  # every MLP has at least one reading site
        return _with_gradient_of(acts_BTN, given)

    read = {"mlp_pre": keep, **({"mlp_pre_linear": keep} if gated else {})}
    return {**read, "mlp_post": share}


def _ratio(part_BTN: Tensor, whole_BTN: Tensor) -> Tensor:
    """part / whole as constants; 0 where that is not defined, as nothing comes of 0 there."""
    part_BTN, whole_BTN = part_BTN.detach(), whole_BTN.detach()
    found = part_BTN / whole_BTN
    return torch.where(found.isfinite(), found, 0.0)


def _with_gradient_of(value: Tensor, linear: Tensor) -> Tensor:
    """A tensor that is `value` and goes back as `linear` does."""
    return value.detach() + (linear - linear.detach()).to(value.dtype)
