"""What an encoder's head makes of a state, and the linear map that it is near one: from the weights that its data name.

Axes: X states, D d_model, E the width of the head's decoder (mostly d_model), C its outputs: tokens or labels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.activations import ACT2FN

from atlas.live.adapters.heads import Head
from atlas.live.capture import capture
from atlas.live.model import LiveModel

if TYPE_CHECKING:
    from atlas.live.images import Images

CLS, MEAN = "cls", "mean"
N_SAMPLED = 256
"""Tokens whose states are averaged, one a text; or images."""
_IMAGES_AT_ONCE = 16


def pooling(live: LiveModel, head: Head) -> str:
    """Which state of a text a classifier reads: CLS, that of its first token, or MEAN, of all of them."""
    return CLS if head.pooling_field is None else str(getattr(live.model.config, head.pooling_field))


def behind_final_norm(live: LiveModel, states_XD: Tensor) -> Tensor:
    """What the head reads of the last block's states: these, or the final norm of them where the family has one."""
    if live.adapter.final_norm is None:
        return states_XD
    return _normed(live.submodule(live.final_norm.module), states_XD)


def head_logits(live: LiveModel, normed_XD: Tensor) -> Tensor:
    """[X, C] float32: what the head gives for states behind the final norm, if there is one; each read by itself."""
    head = _head(live)
    logits_XC = _before_decoder(live, head, normed_XD.float()) @ live.unembedding().float().T
    bias = _bias(live, head)
    return logits_XC if bias is None else logits_XC + bias


def label_logits_of(live: LiveModel, normed_BTD: Tensor, mask_BT: Tensor) -> Tensor:
    """[B, C] float32: what a classifier gives for the last states of right-padded texts, behind the final norm."""
    if _means(live, _head(live)):
        mask_BT1 = mask_BT[..., None].to(normed_BTD.dtype)
        return head_logits(live, (normed_BTD * mask_BT1).sum(1) / mask_BT1.sum(1))
    return head_logits(live, normed_BTD[:, 0])


def linear_map(live: LiveModel, state_D: Tensor) -> Tensor:
    """J [E, D] float64: what a small change of `state_D`, behind the last block, changes before the head's decoder."""
    head = _head(live)

    def inner(x_D: Tensor) -> Tensor:
        return _before_decoder(live, head, behind_final_norm(live, x_D[None]))[0]

    found: Tensor = torch.func.jacrev(inner)(state_D.double())
    return found


def mean_state(live: LiveModel) -> Tensor:
    """[D] float64: the mean of the states that the head reads, over texts of one token each.

    These are N_SAMPLED ordinary tokens at equal distances in the vocabulary, between the special tokens that the
    tokenizer puts around a text; before a mask, whose state it is, where the head is a masked language model's. Of an
    image tower the mean is over at most N_SAMPLED of the images that it was given, or over made-up ones.
    """
    head = _head(live)
    if live.images is not None:
        return _mean_of_images(live, live.images)
    special = set(live.tokenizer.all_special_ids)
    ids = [number for number in sorted(live.tokenizer.get_vocab().values()) if number < live.d_vocab]
    ids = [number for number in ids if number not in special]
    chosen = ids[:: max(1, len(ids) // N_SAMPLED)][:N_SAMPLED]
    before, after = live.around
    mask = live.tokenizer.mask_token_id if head.kind == "mlm" else None
    place = -1 if head.reads == "last" else len(before) if head.kind == "mlm" else 0
    rows = [[*before, number, *after] for number in chosen]
    if mask is not None:
        rows, place = [[*before, number, mask, *after] for number in chosen], len(before) + 1
    input_ids = torch.tensor(rows)
    kept: list[Tensor] = []

    def keep(site: str, layer: int, acts_BTN: Tensor) -> None:
        states_BD = acts_BTN.double().mean(1) if _means(live, head) else acts_BTN[:, place].double()
        kept.append(states_BD.mean(0))

    capture(live, input_ids, torch.ones_like(input_ids), ["resid_post"], [live.n_layers - 1], keep)
    return kept[0].clone()  # no longer one of inference mode


def _mean_of_images(live: LiveModel, images: Images) -> Tensor:
    """[D] float64: that of the states of the class token."""
    sums: list[Tensor] = []

    def keep(site: str, layer: int, acts_BTN: Tensor) -> None:
        sums.append(acts_BTN[:, 0].double().sum(0))

    numbers = images.sample(N_SAMPLED)
    for start in range(0, len(numbers), _IMAGES_AT_ONCE):
        input_ids = torch.tensor([images.row(number) for number in numbers[start : start + _IMAGES_AT_ONCE]])
        capture(live, input_ids, torch.ones_like(input_ids), ["resid_post"], [live.n_layers - 1], keep)
    return torch.stack(sums).sum(0) / len(numbers)


def _means(live: LiveModel, head: Head) -> bool:
    return head.kind == "classifier" and pooling(live, head) == MEAN


def _before_decoder(live: LiveModel, head: Head, x_XD: Tensor) -> Tensor:
    """norm(activation(dense(x))), in the dtype of x."""
    name = head.activation or getattr(live.model.config, str(head.activation_field))
    x_XE = ACT2FN[name](_linear(live.submodule(head.dense), x_XD))
    return x_XE if head.norm is None else _normed(live.submodule(head.norm), x_XE)


def _linear(module: nn.Module, x: Tensor) -> Tensor:
    return F.linear(x, module.get_parameter("weight").to(x.dtype), _number(module, "bias", x.dtype))


def _normed(module: nn.Module, x: Tensor) -> Tensor:
    gain, epsilon = module.get_parameter("weight"), float(getattr(module, "eps", 0.0))
    return F.layer_norm(x, gain.shape, gain.to(x.dtype), _number(module, "bias", x.dtype), epsilon)


def _bias(live: LiveModel, head: Head) -> Tensor | None:
    owner, _, attribute = str(head.bias).rpartition(".")
    return _number(live.submodule(owner), attribute, torch.float32)


def _number(module: nn.Module, name: str, dtype: torch.dtype) -> Tensor | None:
    """A parameter that may be left out."""
    found: Tensor | None = getattr(module, name, None)
    return None if found is None else found.to(dtype)


def _head(live: LiveModel) -> Head:
    live.unembedding()  # ModelError where there is none
    assert live.head is not None  # whoever asks has an encoder
    return live.head
