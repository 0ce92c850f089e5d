"""Sites and weights of the dense families by the attribute names of transformers' classes, independent of adapters.

By shape of the MLP, as a reader of the modelling files sees them: which module reads, which one writes, what the
activation function is, and where the blocks and the last norm are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from atlas.live.model import LiveModel

TRUNKS = [("model", "language_model", "layers"), ("model", "text_model", "layers")]
TRUNKS += [("model", "decoder", "layers"), ("model", "layers"), ("biogpt", "layers"), ("gpt_neox_japanese", "layers")]
TRUNKS += [("transformer", "blocks"), ("transformer", "h")]
LAST_NORMS = ["final_layer_norm", "final_layernorm", "ln_f", "norm_f", "layernorm", "layer_norm", "norm"]
LAST_NORMS += ["embedding_norm"]
PAIRS = [("fc1", "fc2"), ("fc_in", "fc_out"), ("c_fc", "c_proj"), ("dense_h_to_4h", "dense_4h_to_h"), ("0", "2")]


@dataclass(frozen=True)
class Mlp:
    """What one block's MLP is made of; `gate` is None for one that is not gated, and `fused` has both halves."""

    up: nn.Module
    down: nn.Module
    gate: nn.Module | None = None
    fused: bool = False

    @property
    def weights(self) -> dict[str, Tensor]:
        if self.fused:
            gate, up = self.up.weight.chunk(2)
            return {"gate_proj": gate, "up_proj": up, "down_proj": self.down.weight.T}
        turned = type(self.up).__name__ == "Conv1D"
        plain = {
            "up_proj": self.up.weight.T if turned else self.up.weight,
            "down_proj": self.down.weight if turned else self.down.weight.T,
        }
        return plain if self.gate is None else {**plain, "gate_proj": self.gate.weight}


def trunk(live: LiveModel) -> tuple[nn.ModuleList, nn.Module]:
    """The blocks and the norm after them."""
    for path in TRUNKS:
        owner = live.model
        for name in path[:-1]:
            owner = getattr(owner, name, None)
        if isinstance(getattr(owner, path[-1], None), nn.ModuleList):
            children = dict(owner.named_children())
            return children[path[-1]], next(children[name] for name in LAST_NORMS if name in children)
    raise AssertionError(f"no blocks in {type(live.model).__name__}")


def mlp_of(block: nn.Module) -> Mlp:
    children = dict(block.named_children())
    owner = next((children[name] for name in ("mlp", "ffn", "feed_forward", "shared_mlp") if name in children), block)
    inner = dict(owner.named_children())
    if "gate_up_proj" in inner:
        return Mlp(inner["gate_up_proj"], inner["down_proj"], fused=True)
    if "input_linear" in inner:
        return Mlp(inner["input_linear"], inner["output_linear"], fused=True)
    if "w1" in inner:
        return Mlp(inner["w3"], inner["w2"], inner["w1"])
    for up, down in PAIRS:
        if up in inner:
            return Mlp(inner[up], inner[down])
    return Mlp(inner["up_proj"], inner["down_proj"], inner.get("gate_proj"))


def activations(live: LiveModel, input_ids: Tensor) -> dict[tuple[str, int], Tensor]:
    """Every site of every layer for a text alone, [1, tokens, width]."""
    seen: dict[tuple[str, int], Tensor] = {}
    blocks, _ = trunk(live)

    def keep(site: str, layer: int, tensor: Tensor) -> None:
        seen[site, layer] = tensor.reshape(1, -1, tensor.shape[-1]).clone()

    with ExitStack() as hooks, torch.no_grad():

        def watch(module: nn.Module, layer: int, *sites: str) -> None:
            def hook(module, args, output, sites=sites, layer=layer):
                whole = output[0] if isinstance(output, tuple) else output
                for site, part in zip(sites, whole.chunk(len(sites), -1), strict=True):
                    keep(site, layer, part)

            hooks.callback(module.register_forward_hook(hook).remove)

        for layer, block in enumerate(blocks):
            mlp = mlp_of(block)
            if mlp.fused:
                watch(mlp.up, layer, "mlp_pre", "mlp_pre_linear")
            elif mlp.gate is not None:
                watch(mlp.gate, layer, "mlp_pre")
                watch(mlp.up, layer, "mlp_pre_linear")
            else:
                watch(mlp.up, layer, "mlp_pre")
            watch(block, layer, "resid_post")
            hooks.callback(
                mlp.down.register_forward_pre_hook(
                    lambda module, args, layer=layer: keep("mlp_post", layer, args[0])
                ).remove
            )
        live.model(input_ids=input_ids, use_cache=False)
    return seen


@contextmanager
def neuron_set(live: LiveModel, layer: int, neuron: int, value: float) -> Iterator[None]:
    """Inside, this neuron activation is `value` at every token."""

    def change(module, args):
        changed = args[0].clone()
        changed[..., neuron] = value
        return (changed, *args[1:])

    handle = mlp_of(trunk(live)[0][layer]).down.register_forward_pre_hook(change)
    try:
        yield
    finally:
        handle.remove()
