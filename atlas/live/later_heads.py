"""Effects of neurons on what an image tower gives, through the attention heads of later layers (arXiv 2406.04341).

What neuron n of a layer adds to the stream, at token i of image b the vector p_bin w_n, is read by every head of every
later layer. With the attention patterns a and the norms of the stream as they are in the pass (only linear parts are
left, so the sum over tokens and heads is exact), its effect on the vector that the model gives for the image is

    phi_bn = 1 / s_b * sum over later layers l and heads h of q_blhn V_lhn
    q_blhn = sum over tokens i of a_blhi p_bin / s_bli        a: from the class token; s: deviation under layer l's norm
    V_lhn  = P g c(O_lh V_lh g_l c(w_n))                      c: minus the mean; g: gains; P: the projection

s_b: the deviation under the final norm, at the class token. Paths through more than one of these heads, and through
later MLPs, are not in it: they are of higher order.

Axes: B images, T tokens, N neurons, K later layers times heads, D d_model, E the width of the projection.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atlas.live.inputs import pass_inputs

if TYPE_CHECKING:
    from atlas.live.adapters.base import Attention
    from atlas.live.model import LiveModel


def coefficients(live: LiveModel, layer: int, input_ids_BT: Tensor, neurons: slice) -> Tensor:
    """q_blhn / s_b: [B, K, N] of some neurons of a layer, for images as rows of tokens; in float32, or the model's
    dtype where that is wider."""
    attention = _attention(live)
    heads, later = _heads(live, attention), range(layer + 1, live.n_layers)
    acts: list[Tensor] = []
    read: list[Tensor] = []
    final: list[Tensor] = []

    def keep_acts(acts_BTN: Tensor) -> None:
        acts.append(_wide(acts_BTN[..., neurons]).clone())

    with ExitStack() as hooks, torch.inference_mode():
        hooks.callback(live.tap("mlp_post", layer).register(keep_acts).remove)
        for number in later:

            def keep(module: nn.Module, args: tuple[Any, ...], normed_BTD: Tensor, number: int = number) -> None:
                weights_BHT = _from_class_token(live, attention, number, normed_BTD, heads)
                read.append(weights_BHT / _deviation(module, args[0])[:, None])

            norm = live.submodule(attention.norm.format(layer=number))
            hooks.callback(norm.register_forward_hook(keep).remove)
        last = live.submodule(live.final_norm.module)
        seen = last.register_forward_hook(lambda module, args, output: final.append(_deviation(module, args[0])))
        hooks.callback(seen.remove)
        live.model(**pass_inputs(live, live.model.forward, input_ids_BT, torch.ones_like(input_ids_BT)))
        read_BKT = torch.cat(read, 1)
        return (read_BKT @ acts[0]) / final[0].reshape(-1, 1, 1)


def directions(live: LiveModel, layer: int, neurons: slice, dtype: torch.dtype = torch.float32) -> Tensor:
    """V_lhn: [K, N, E] of some neurons of a layer."""
    attention = _attention(live)
    heads = _heads(live, attention)
    w_ND = live.weight("down_proj", layer)[neurons].to(dtype)
    gain_D = live.submodule(live.final_norm.module).get_parameter("weight").to(dtype)
    head = live.head
    assert head is not None  # an image tower has one
    projection_ED = live.submodule(head.dense).get_parameter("weight").to(dtype)
    found = []
    with torch.inference_mode():
        for number in range(layer + 1, live.n_layers):
            norm, value, output = (
                live.submodule(path.format(layer=number)).get_parameter("weight").to(dtype)
                for path in (attention.norm, attention.value, attention.output)
            )
            read_NHd = ((_centred(w_ND) * norm) @ value.T).unflatten(1, (heads, -1))
            written_HND = torch.einsum("nhd,Dhd->hnD", read_NHd, output.unflatten(1, (heads, -1)))
            found.append(F.linear(_centred(written_HND) * gain_D, projection_ED))
    return torch.cat(found)


def later_heads(live: LiveModel, layer: int) -> int:
    """K: heads of all layers after `layer`."""
    return (live.n_layers - 1 - layer) * _heads(live, _attention(live))


def image_rows(live: LiveModel, numbers: Sequence[int]) -> Tensor:
    """[B, T] int64: images as rows of tokens."""
    assert live.images is not None  # as an image tower has
    return torch.tensor([live.images.row(number) for number in numbers])


def _from_class_token(live: LiveModel, attention: Attention, layer: int, normed_BTD: Tensor, heads: int) -> Tensor:
    """[B, H, T]: how much each head of a layer takes from each token, seen from the class token."""
    query, key = (live.submodule(path.format(layer=layer)) for path in (attention.query, attention.key))
    query_BHd = _wide(query(normed_BTD[:, 0])).unflatten(-1, (heads, -1))
    key_BTHd = _wide(key(normed_BTD)).unflatten(-1, (heads, -1))
    scores_BHT: Tensor = torch.einsum("bhd,bthd->bht", query_BHd, key_BTHd) * query_BHd.shape[-1] ** -0.5
    return scores_BHT.softmax(-1)


def _deviation(norm: nn.Module, x: Tensor) -> Tensor:
    """What a layer norm divides by: of each vector of the last axis."""
    return (_wide(x).var(-1, correction=0) + float(getattr(norm, "eps", 0.0))).sqrt()


def _wide(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _centred(x: Tensor) -> Tensor:
    return x - x.mean(-1, keepdim=True)


def _attention(live: LiveModel) -> Attention:
    found = live.adapter.attention
    assert found is not None  # towers have it (atlas/live/adapters)
    return found


def _heads(live: LiveModel, attention: Attention) -> int:
    return int(getattr(live.config, attention.heads_field))
