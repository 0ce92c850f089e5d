"""How each emitted form is run by a user of its library."""

from __future__ import annotations

import copy
from types import ModuleType

import pytest
import torch
from torch import Tensor

from atlas.live.model import LiveModel


class Hooks:
    """Plain transformers."""

    target, needs = "hooks", "torch"

    def __init__(self, live: LiveModel) -> None:
        pytest.importorskip(self.needs, reason=f"{self.needs} is not installed (make test installs it)")
        self.model = live.model
        self.tokenizer = live.tokenizer

    def forward(self, module: ModuleType, ids: Tensor, **mask: Tensor) -> Tensor:
        with torch.no_grad(), module.apply(self.model) as model:
            return model(input_ids=ids, **mask).logits.log_softmax(-1)

    def generate(self, module: ModuleType, ids: Tensor, n_new: int, **mask: Tensor) -> Tensor:
        with module.apply(self.model) as model:
            return model.generate(ids, max_new_tokens=n_new, do_sample=False, **mask)


class TransformerLens(Hooks):
    target, needs = "transformer_lens", "transformer_lens"

    def __init__(self, live: LiveModel) -> None:
        super().__init__(live)
        from transformer_lens.model_bridge import TransformerBridge

        self.model = TransformerBridge.boot_transformers(
            live.model_id,
            hf_model=copy.deepcopy(live.model),  # it is changed in place
            tokenizer=live.tokenizer,
            device="cpu",
            dtype=torch.float32,
        )

    def forward(self, module: ModuleType, ids: Tensor, **mask: Tensor) -> Tensor:
        with torch.no_grad(), module.apply(self.model) as bridge:
            return bridge(ids, **mask).log_softmax(-1)

    def generate(self, module: ModuleType, ids: Tensor, n_new: int, **mask: Tensor) -> Tensor:
        options = {"do_sample": False, "stop_at_eos": False, "verbose": False}
        with module.apply(self.model) as bridge:
            return bridge.generate(ids, max_new_tokens=n_new, **options, **mask)


class NNsight(Hooks):
    target, needs = "nnsight", "nnsight"

    def __init__(self, live: LiveModel) -> None:
        super().__init__(live)
        from nnsight.modeling.transformers import TransformersModel

        self.model = TransformersModel(copy.deepcopy(live.model), tokenizer=live.tokenizer, task="text-generation")

    def forward(self, module: ModuleType, ids: Tensor, **mask: Tensor) -> Tensor:
        with torch.no_grad(), module.apply(self.model) as edited:
            with edited.trace({"input_ids": ids, **mask}):
                logits = edited.output.logits.save()
        return logits.log_softmax(-1)

    def generate(self, module: ModuleType, ids: Tensor, n_new: int, **mask: Tensor) -> Tensor:
        with module.apply(self.model) as edited:
            with edited.generate({"input_ids": ids, **mask}, max_new_tokens=n_new, do_sample=False) as tracer:
                out = tracer.result.save()
        return out


class Pyvene(Hooks):
    target, needs = "pyvene", "pyvene"

    def forward(self, module: ModuleType, ids: Tensor, **mask: Tensor) -> Tensor:
        with torch.no_grad(), module.apply(self.model) as intervenable:
            return intervenable({"input_ids": ids, **mask})[1].logits.log_softmax(-1)

    def generate(self, module: ModuleType, ids: Tensor, n_new: int, **mask: Tensor) -> Tensor:
        with module.apply(self.model) as intervenable:
            return intervenable.generate({"input_ids": ids, **mask}, max_new_tokens=n_new, do_sample=False)[1]


RUNNERS = (Hooks, TransformerLens, NNsight, Pyvene)
