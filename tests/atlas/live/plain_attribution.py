"""Attributions by code that knows two architectures, in float64: nothing of atlas.live takes part.

`frozen_llama` and `frozen_gpt2` are the models in which every norm, attention pattern and activation function is held
as it was (RelP, arXiv 2508.21258), written out; only what is frozen is read off a run of transformers' own model.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from tests.atlas.live import plain

Rows = dict[int, Tensor]
"""Layer -> a tensor [tokens, neurons]."""


def doubled(live) -> nn.Module:
    """The model in float64, with attention written out."""
    model = copy.deepcopy(live.model).double().eval()
    model.set_attn_implementation("eager")
    return model


def down_projection(block: nn.Module) -> nn.Module:
    modules = dict(block.mlp.named_children())
    return next(modules[name] for name in ("c_proj", "dense_4h_to_h", "down_proj") if name in modules)


def blocks(model: nn.Module) -> nn.ModuleList:
    class Holder:  # what plain.blocks asks for
        pass

    holder = Holder()
    holder.model = model
    return plain.blocks(holder)


def run_with(model: nn.Module, ids: list[int], change: Callable[[int, Tensor], Tensor]) -> Tensor:
    """[tokens, d_vocab] logits, with `change(layer, activations [1, tokens, neurons])` for the neuron activations."""
    handles = [
        down_projection(block).register_forward_pre_hook(
            lambda module, args, layer=layer: (change(layer, args[0]), *args[1:])
        )
        for layer, block in enumerate(blocks(model))
    ]
    try:
        return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
    finally:
        for handle in handles:
            handle.remove()


def gradient_attributions(model: nn.Module, ids: list[int], direction_V: Tensor) -> tuple[Rows, Rows]:
    """(activation, d target / d activation), target = direction . last logits; derivatives to added zeros."""
    added: Rows = {}
    acts: Rows = {}

    def change(layer: int, acts_1TN: Tensor) -> Tensor:
        acts[layer] = acts_1TN[0].detach()
        added[layer] = torch.zeros_like(acts_1TN[0], requires_grad=True)
        return acts_1TN + added[layer]

    target = run_with(model, ids, change)[-1] @ direction_V
    found = torch.autograd.grad(target, [added[layer] for layer in sorted(added)])
    return acts, dict(enumerate(found))


def frozen_llama(model: nn.Module, ids: list[int], direction_V: Tensor) -> Rows:
    """activation * RelP coefficient [tokens, neurons] of a Llama without biases."""
    config = model.config
    attentions = model(input_ids=torch.tensor([ids]), output_attentions=True, use_cache=False).attentions
    x_TD = model.model.embed_tokens(torch.tensor(ids)).detach().requires_grad_(True)
    neurons: Rows = {}

    def norm(module: nn.Module, x_TD: Tensor) -> Tensor:
        scale = (x_TD.pow(2).mean(-1, keepdim=True) + config.rms_norm_eps).rsqrt().detach()
        return x_TD * scale * module.weight

    for layer, block in enumerate(model.model.layers):
        heads_TD = block.self_attn.v_proj(norm(block.input_layernorm, x_TD))
        heads_HTd = heads_TD.view(len(ids), config.num_key_value_heads, -1).transpose(0, 1)
        heads_HTd = heads_HTd.repeat_interleave(config.num_attention_heads // config.num_key_value_heads, 0)
        mixed_TD = (attentions[layer][0].detach() @ heads_HTd).transpose(0, 1).reshape(len(ids), -1)
        x_TD = x_TD + block.self_attn.o_proj(mixed_TD)
        read_TD = norm(block.post_attention_layernorm, x_TD)
        gate_TN, up_TN = block.mlp.gate_proj(read_TD), block.mlp.up_proj(read_TD)
        sigmoid_TN = torch.sigmoid(gate_TN).detach()  # silu(x) / x
        opened_TN = gate_TN * sigmoid_TN
        neurons[layer] = (opened_TN * up_TN.detach() + opened_TN.detach() * up_TN) / 2
        x_TD = x_TD + block.mlp.down_proj(neurons[layer])
    return _shares(neurons, model.lm_head(norm(model.model.norm, x_TD))[-1] @ direction_V)


def frozen_gpt2(model: nn.Module, ids: list[int], direction_V: Tensor) -> Rows:
    """The same of GPT-2, which has biases, LayerNorm and no gate."""
    base, config = model.transformer, model.config
    attentions = model(input_ids=torch.tensor([ids]), output_attentions=True, use_cache=False).attentions
    x_TD = (base.wte(torch.tensor(ids)) + base.wpe(torch.arange(len(ids)))).detach().requires_grad_(True)
    neurons: Rows = {}

    def norm(module: nn.LayerNorm, x_TD: Tensor) -> Tensor:
        centred = x_TD - x_TD.mean(-1, keepdim=True)
        scale = (x_TD.var(-1, keepdim=True, unbiased=False) + module.eps).rsqrt().detach()
        return centred * scale * module.weight + module.bias

    for layer, block in enumerate(base.h):
        value_TD = block.attn.c_attn(norm(block.ln_1, x_TD)).chunk(3, -1)[2]
        heads_HTd = value_TD.view(len(ids), config.n_head, -1).transpose(0, 1)
        mixed_TD = (attentions[layer][0].detach() @ heads_HTd).transpose(0, 1).reshape(len(ids), -1)
        x_TD = x_TD + block.attn.c_proj(mixed_TD)
        pre_TN = block.mlp.c_fc(norm(block.ln_2, x_TD))
        neurons[layer] = pre_TN * (block.mlp.act(pre_TN) / pre_TN).detach()
        x_TD = x_TD + block.mlp.c_proj(neurons[layer])
    return _shares(neurons, model.lm_head(norm(base.ln_f, x_TD))[-1] @ direction_V)


def _shares(neurons: Rows, target: Tensor) -> Rows:
    found = torch.autograd.grad(target, list(neurons.values()))
    return {layer: neurons[layer].detach() * found[layer] for layer in neurons}
