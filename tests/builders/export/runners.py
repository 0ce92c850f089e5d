"""How each emitted form is run by a user of its library."""

from __future__ import annotations

import copy
from importlib import metadata
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
    # TransformerLens 4.3 hands the cache on by its old name, which transformers 5.24 drops on some models' way.
    loses_the_cache = tuple(map(int, metadata.version("transformers").split(".")[:2])) >= (5, 24)

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
        try:
            with module.apply(self.model) as bridge:
                return bridge.generate(ids, max_new_tokens=n_new, **options, **mask)
        except ValueError as error:
            if not (self.loses_the_cache and "the attention mask has" in str(error)):
                raise
        with module.apply(self.model) as bridge:
            return bridge.generate(ids, max_new_tokens=n_new, use_past_kv_cache=False, **options, **mask)


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
