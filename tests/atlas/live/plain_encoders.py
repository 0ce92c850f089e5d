"""Encoders read by their own attribute names, by transformers alone: independent of the adapters and of LiveModel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification

from atlas.live.quiet import quiet

CLASSES = {"mlm": AutoModelForMaskedLM, "classifier": AutoModelForSequenceClassification, "none": AutoModel}


def plain_model(folder: Path, head: str) -> nn.Module:
    with quiet():
        return CLASSES[head].from_pretrained(folder, attn_implementation="eager").eval().requires_grad_(False)


def blocks(model: nn.Module) -> nn.ModuleList:
    base = model.base_model
    if hasattr(base, "transformer"):
        return base.transformer.layer
    return base.encoder.layer if hasattr(base, "encoder") else base.layers


def matrices(block: nn.Module) -> tuple[nn.Module, nn.Module]:
    """(what reads the stream, what writes to it) of a block's MLP."""
    if hasattr(block, "ffn"):
        return block.ffn.lin1, block.ffn.lin2
    if hasattr(block, "mlp"):
        return block.mlp.Wi, block.mlp.Wo
    return block.intermediate.dense, block.output.dense


def weights(model: nn.Module, layer: int) -> dict[str, Tensor]:
    reads, writes = (module.weight for module in matrices(blocks(model)[layer]))
    if hasattr(blocks(model)[layer], "mlp"):
        gate, up = reads.chunk(2)
        return {"up_proj": up, "gate_proj": gate, "down_proj": writes.T}
    return {"up_proj": reads, "down_proj": writes.T}


def activations(model: nn.Module, ids: list[int]) -> dict[tuple[str, int], Tensor]:
    """[tokens, width] of every site of one text by itself, with the positions that the model takes by itself."""
    seen: dict[tuple[str, int], Tensor] = {}
    handles = []

    def keep(key: tuple[str, int], tensor: Tensor) -> None:
        seen[key] = tensor[0].clone()

    for layer, block in enumerate(blocks(model)):
        reads, writes = matrices(block)

        def on_read(
            module: Any, args: Any, out: Tensor, layer: int = layer, gated: bool = hasattr(block, "mlp")
        ) -> None:
            if gated:
                first, second = out.chunk(2, dim=-1)
                keep(("mlp_pre", layer), first)
                keep(("mlp_pre_linear", layer), second)
            else:
                keep(("mlp_pre", layer), out)

        def on_block(module: Any, args: Any, out: Any, layer: int = layer) -> None:
            keep(("resid_post", layer), out[0] if isinstance(out, tuple) else out)

        handles.append(reads.register_forward_hook(on_read))
        handles.append(writes.register_forward_pre_hook(lambda m, a, layer=layer: keep(("mlp_post", layer), a[0])))
        handles.append(block.register_forward_hook(on_block))
    with torch.no_grad():
        model(input_ids=torch.tensor([ids]))
    for handle in handles:
        handle.remove()
    return seen


def edited_logits(model: nn.Module, ids: list[int], layer: int, edit: Callable[[Tensor], Tensor]) -> Tensor:
    """The model's own output for a text, where `edit` makes the [tokens, width] that the MLP's last matrix reads."""
    _, writes = matrices(blocks(model)[layer])
    handle = writes.register_forward_pre_hook(lambda module, args: (edit(args[0][0])[None],))
    with torch.no_grad():
        found = model(input_ids=torch.tensor([ids])).logits[0]
    handle.remove()
    return found


def head_of(model: nn.Module) -> Callable[[Tensor], Tensor]:
    """state [D] behind the last block -> outputs, by the modules of each class."""
    name = type(model).__name__
    if name == "BertForMaskedLM" or name == "DebertaV2ForMaskedLM":
        return lambda state: model.cls(state[None, None])[0, 0]
    if name.endswith("RobertaForMaskedLM"):
        return lambda state: model.lm_head(state[None, None])[0, 0]
    if name == "ElectraForMaskedLM":
        return lambda state: model.generator_lm_head(model.generator_predictions(state[None, None]))[0, 0]
    if name == "DistilBertForMaskedLM":
        return lambda state: model.vocab_projector(
            model.vocab_layer_norm(model.activation(model.vocab_transform(state[None])))
        )[0]
    if name == "ModernBertForMaskedLM":
        return lambda state: model.decoder(model.head(model.model.final_norm(state[None])))[0]
    if name == "BertForSequenceClassification":
        return lambda state: model.classifier(model.bert.pooler(state[None, None]))[0]
    if name == "DebertaV2ForSequenceClassification":
        return lambda state: model.classifier(model.pooler(state[None, None]))[0]
    if name == "DistilBertForSequenceClassification":
        return lambda state: model.classifier(model.pre_classifier(state[None]).relu())[0]
    if name == "ModernBertForSequenceClassification":
        return lambda state: model.classifier(model.head(model.model.final_norm(state[None])))[0]
    return lambda state: model.classifier(state[None, None])[0]


def decoder_of(model: nn.Module) -> Tensor:
    """[outputs, width]: the last matrix of the head."""
    name = type(model).__name__
    if name.endswith("ForMaskedLM"):
        return model.get_output_embeddings().weight
    last = model.classifier
    return last.weight if hasattr(last, "weight") else last.out_proj.weight
