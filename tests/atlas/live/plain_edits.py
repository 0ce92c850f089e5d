"""A spec applied one edit at a time by hooks that know each architecture, to unpadded passes without a cache.

Nothing of atlas.live takes part, except that `live.model` is the model.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import torch

from atlas.spec.document import Edit, InterventionSpec, ModelReference, Range, Tokenization
from tests.atlas.live import plain


def a_spec(live, *edits: Edit, **fields) -> InterventionSpec:
    """A spec of these edits for this model."""
    dims = {name: getattr(live, name) for name in ("n_layers", "d_model", "d_mlp", "gated")}
    model = ModelReference(id="synthetic", fingerprint=live.fingerprint, **dims)
    return InterventionSpec(model=model, tokenization=Tokenization(False, False), edits=edits, **fields)


def mixed_edits(live) -> list[Edit]:
    """Every op at every site of the model, with and without a range, several a tap; strong enough to be seen."""
    edits = []
    for layer in range(live.n_layers):
        for at, site in enumerate(live.sites()):
            n = 2 * at + layer
            edits += [
                Edit(site, layer, n, "set", 1.5 - layer),
                Edit(site, layer, n + 3, "set", -1.0, Range(-0.2, 3.0)),
                Edit(site, layer, n + 5, "scale", -2.0),
                Edit(site, layer, n + 6, "scale", 3.0, Range(-5.0, 0.1)),
                Edit(site, layer, n + 1, "add", 0.75),
                Edit(site, layer, n + 2, "add", -0.75, Range(-0.5, 0.5)),
                Edit(site, layer, n + 4, "damp", 0.5, Range(-1.0, 2.0)),
            ]
    return edits


def admits(spec: InterventionSpec, index: int, n_prompt: int) -> bool:
    """docs/spec.md, "Positions and phase", for the token of this index."""
    generated = index >= n_prompt
    if (spec.phase == "prompt" and generated) or (spec.phase == "generated" and not generated):
        return False
    if spec.positions == "last":
        return generated or index == n_prompt - 1
    return spec.positions == "all" or index in spec.positions


def edited_value(edit: Edit, x: np.float32) -> np.float32:
    """docs/spec.md, "Ops", for one value."""
    f32 = np.float32
    if edit.when is not None and not f32(edit.when.lower) <= x <= f32(edit.when.upper):
        return x
    number = f32(edit.value)
    if edit.op == "set":
        return number
    if edit.op == "scale":
        return number * x
    if edit.op == "add":
        return x + number
    lower, upper = float(f32(edit.when.lower)), float(f32(edit.when.upper))
    centre, half_width = (lower + upper) / 2, (upper - lower) / 2
    return f32(float(x) * float(number) * abs(float(x) - centre) / half_width)


@contextmanager
def plain_edits(live, spec: InterventionSpec | None, n_prompt: int) -> Iterator[None]:
    """Passes over whole unpadded texts, whose first `n_prompt` tokens are the prompt, with the edits made."""
    with ExitStack() as hooks:
        for edit in spec.edits if spec else ():
            hooks.callback(_hook(live, spec, edit, n_prompt).remove)
        yield


def _hook(live, spec, edit, n_prompt):
    block = plain.blocks(live)[edit.layer]
    modules = dict(block.mlp.named_children())
    offset = 0
    if edit.site == "resid_post":
        module, reads_input = block, False
    elif edit.site == "mlp_post":
        down = next(modules[name] for name in ("c_proj", "dense_4h_to_h", "down_proj") if name in modules)
        module, reads_input = down, True
    else:
        fused = edit.site == "mlp_pre_linear" and "gate_up_proj" in modules
        offset, reads_input = (live.d_mlp if fused else 0), False
        names = ["up_proj", "gate_up_proj"] if edit.site == "mlp_pre_linear" else ["c_fc", "dense_h_to_4h", "gate_proj"]
        module = next(modules[name] for name in [*names, "gate_up_proj"] if name in modules)

    def changed(tensor):
        whole = tensor.clone()
        for t in range(tensor.shape[1]):
            if admits(spec, t, n_prompt):
                for b in range(tensor.shape[0]):
                    x = np.float32(tensor[b, t, offset + edit.neuron].item())
                    whole[b, t, offset + edit.neuron] = float(edited_value(edit, x))
        return whole

    def on_output(module, args, output):
        return (changed(output[0]), *output[1:]) if isinstance(output, tuple) else changed(output)

    if reads_input:
        return module.register_forward_pre_hook(lambda module, args: (changed(args[0]), *args[1:]))
    return module.register_forward_hook(on_output)


def plain_logits(live, spec: InterventionSpec | None, ids: list[int], n_prompt: int) -> torch.Tensor:
    """[tokens, d_vocab] logits of one text under the edits."""
    with torch.no_grad(), plain_edits(live, spec, n_prompt):
        return live.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
