"""The sites and weights of each architecture by its own attribute names, independent of the adapters."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from atlas.live.model import LiveModel


def blocks(live: LiveModel) -> nn.ModuleList:
    return _trunk(live)[0]


def final_norm(live: LiveModel) -> nn.Module:
    return _trunk(live)[1]


def hooks_of(live: LiveModel) -> int:
    """Hooks on the model's modules, but those that transformers puts there itself.

    The first caller of `output_hidden_states` leaves recording hooks on the model for good, and the models
    of a session are shared: which test came before must not matter.
    """
    registries = [each for m in live.model.modules() for each in (m._forward_hooks, m._forward_pre_hooks)]
    hooks = [hook for registry in registries for hook in registry.values()]
    return sum(not hook.__module__.startswith("transformers.") for hook in hooks)


def _trunk(live: LiveModel) -> tuple[nn.ModuleList, nn.Module]:
    name = type(live.model).__name__
    if name.startswith("GPT2"):
        return live.model.transformer.h, live.model.transformer.ln_f
    if name.startswith("GPTNeoX"):
        return live.model.gpt_neox.layers, live.model.gpt_neox.final_layer_norm
    return live.model.model.layers, live.model.model.norm


def weights(live: LiveModel, layer: int) -> dict[str, Tensor]:
    """Per-neuron vectors [d_mlp, d_model] by weight name."""
    mlp = blocks(live)[layer].mlp
    if hasattr(mlp, "c_fc"):
        return {"up_proj": mlp.c_fc.weight.T, "down_proj": mlp.c_proj.weight}
    if hasattr(mlp, "dense_h_to_4h"):
        return {"up_proj": mlp.dense_h_to_4h.weight, "down_proj": mlp.dense_4h_to_h.weight.T}
    if hasattr(mlp, "gate_up_proj"):
        gate, up = mlp.gate_up_proj.weight.chunk(2)
        return {"up_proj": up, "gate_proj": gate, "down_proj": mlp.down_proj.weight.T}
    return {
        "up_proj": mlp.up_proj.weight,
        "gate_proj": mlp.gate_proj.weight,
        "down_proj": mlp.down_proj.weight.T,
    }


def activations(live: LiveModel, input_ids: Tensor) -> dict[tuple[str, int], Tensor]:
    """Every site at every layer for an unpadded batch, with hooks that know each architecture."""
    seen: dict[tuple[str, int], Tensor] = {}
    handles = []
    for layer, block in enumerate(blocks(live)):
        modules = dict(block.mlp.named_children())

        def keep_output(module, args, output, keys, parts):
            for key, piece in zip(keys, output.chunk(parts, dim=-1), strict=True):
                seen[key] = piece.clone()

        def keep_input(module, args, key):
            seen[key] = args[0].clone()

        def on_output(name: str, *sites: str, parts: int = 1, layer=layer, modules=modules, keep=keep_output):
            keys = [(site, layer) for site in sites]
            handles.append(modules[name].register_forward_hook(lambda m, a, o, keys=keys: keep(m, a, o, keys, parts)))

        written_by = {"c_fc": "c_proj", "dense_h_to_4h": "dense_4h_to_h"}
        plain = next((name for name in written_by if name in modules), None)
        if plain:
            on_output(plain, "mlp_pre")
        elif "gate_up_proj" in modules:
            on_output("gate_up_proj", "mlp_pre", "mlp_pre_linear", parts=2)
        else:
            on_output("gate_proj", "mlp_pre")
            on_output("up_proj", "mlp_pre_linear")
        down = modules[written_by[plain] if plain else "down_proj"]
        handles.append(down.register_forward_pre_hook(lambda m, a, key=("mlp_post", layer): keep_input(m, a, key)))
    # The stream comes from transformers itself, except after the last block, where it reports the normed one.
    last = blocks(live)[-1].register_forward_hook(
        lambda m, a, o: seen.update({("resid_post", live.n_layers - 1): o[0] if isinstance(o, tuple) else o})
    )
    with torch.no_grad():
        states = live.model(input_ids=input_ids, output_hidden_states=True).hidden_states
    for handle in [*handles, last]:
        handle.remove()
    seen.update({("resid_post", layer): states[layer + 1] for layer in range(live.n_layers - 1)})
    return seen
