"""Target `lora`: a peft adapter on down_proj that scales what neurons write, one rank a neuron.

What neuron n writes is x_n times column n of W, so W + B A with A a row that picks x_n and B = (f - 1) times the
column makes it f x_n times the column. `set` 0 is f = 0.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import torch

from atlas.extras import require
from atlas.live.lora_adapter import with_lora
from atlas.live.model import LiveModel
from atlas.spec.document import InterventionSpec
from builders.export.weights.record import difference_after, write_record


def write(live: LiveModel, spec: InterventionSpec, folder: Path) -> None:
    """Write adapter_config.json, adapter_model.safetensors and the record into the existing `folder`.

    `spec` must be expressible (builders.export.capabilities). Raises MissingExtraError without peft.
    """
    from safetensors.torch import save_file

    peft = require("peft", extra="peft", why="to write a LoRA adapter")
    tensors, ranks = {}, {}
    for layer, group in itertools.groupby(spec.edits, key=lambda edit: edit.layer):
        edits = list(group)
        path = live.tap("mlp_post", layer).path
        neurons = [edit.neuron for edit in edits]
        factors_N = torch.tensor([edit.value for edit in edits], dtype=torch.float32)  # of set it is 0, too
        columns_ND = live.weight("down_proj", layer)[neurons].float().cpu()
        picks_NM = torch.zeros(len(edits), live.d_mlp)
        picks_NM[torch.arange(len(edits)), torch.tensor(neurons)] = 1.0
        tensors[f"base_model.model.{path}.lora_A.weight"] = picks_NM
        tensors[f"base_model.model.{path}.lora_B.weight"] = ((factors_N - 1)[:, None] * columns_ND).T.contiguous()
        ranks[path] = len(edits)
    peft.LoraConfig(
        task_type="CAUSAL_LM",
        base_model_name_or_path=live.model_id,
        target_modules=list(ranks),
        r=max(ranks.values()),
        lora_alpha=max(ranks.values()),
        rank_pattern=ranks,
        alpha_pattern=ranks,  # alpha / rank = 1
        lora_dropout=0.0,
        fan_in_fan_out=not live.adapter.weights["down_proj"].neurons_last,
        inference_mode=True,
    ).save_pretrained(folder)
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    write_record(spec, "lora", folder)


def verify(live: LiveModel, spec: InterventionSpec, folder: Path) -> float:
    """Largest difference of the check's log-probabilities with the adapter as peft loads it."""
    with with_lora(live, folder):
        return difference_after(live, spec)
