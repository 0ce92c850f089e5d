"""No expert is copied, and no tensor of all activations is made: of every tensor that torch makes, the size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from atlas.live.capture import ROUTER, capture
from atlas.live.intervene import intervene
from atlas.live.loading import load
from atlas.live.model import LiveModel
from atlas.live.vocabulary import vocabulary
from atlas.spec.document import Edit, InterventionSpec, ModelReference, Tokenization
from builders.build.plan import Plan
from builders.config import BuildConfig
from builders.decoding.decode import Decoder
from tests.synthetic import make_model

EXPERTS, UNITS, D_MODEL, TOKENS = 16, 64, 16, 40
ONE_WEIGHT = EXPERTS * UNITS * D_MODEL  # of all experts, the smallest of what must not be copied
ALL_ACTIVATIONS = TOKENS * EXPERTS * UNITS


class Largest(TorchDispatchMode):
    """The most numbers in a tensor that is made, leaving out views of the model's parameters."""

    def __init__(self, live: LiveModel) -> None:
        super().__init__()
        self._held = {p.untyped_storage().data_ptr() for p in live.model.parameters()}
        self.numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor) and tensor.untyped_storage().data_ptr() not in self._held:
                self.numbers = max(self.numbers, tensor.untyped_storage().nbytes() // tensor.element_size())
        return made


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> LiveModel:
    changes = {"num_local_experts": EXPERTS, "intermediate_size": UNITS, "num_hidden_layers": 2}
    folder = make_model("mixtral", tmp_path_factory.mktemp("memory") / "m", **changes)
    return load(str(folder), device="cpu", dtype="float32")


@pytest.fixture
def ids() -> Tensor:
    return torch.arange(4, 4 + TOKENS)[None]


def test_the_bound_would_be_broken(live: LiveModel) -> None:
    """What is looked at would show: a concatenation, and a tensor of all activations."""
    with Largest(live) as largest:
        live.weight("down_proj", 0)
    assert largest.numbers == ONE_WEIGHT < ALL_ACTIVATIONS


def test_a_capture_makes_nothing_of_all_experts(live: LiveModel, ids: Tensor) -> None:
    heard: list[int] = []
    with Largest(live) as largest:
        capture(
            live,
            ids,
            torch.ones_like(ids),
            ["mlp_pre", "mlp_pre_linear", "mlp_post", ROUTER],
            range(2),
            lambda *_: None,
            lambda site, layer, routed: heard.append(len(routed.tokens_R)),
        )
    assert sum(heard) == 3 * 2 * 2 * TOKENS  # three sites, two layers, two experts a token
    assert 0 < largest.numbers < ONE_WEIGHT / 2


def test_an_edited_pass_makes_nothing_of_all_experts(live: LiveModel, ids: Tensor) -> None:
    dims = {name: getattr(live, name) for name in ("n_layers", "d_model", "d_mlp", "gated")}
    spec = InterventionSpec(
        model=ModelReference(id="m", fingerprint=live.fingerprint, **dims),
        tokenization=Tokenization(False, False),
        edits=tuple(Edit("mlp_post", 0, UNITS * expert, "set", 1.0) for expert in range(EXPERTS)),
    )
    with torch.no_grad(), Largest(live) as largest, intervene(live, spec):
        live.model.base_model(input_ids=ids)
    assert 0 < largest.numbers < ONE_WEIGHT / 2


def test_decoding_copies_one_expert_at_a_time(live: LiveModel) -> None:
    tokens = vocabulary(live.tokenizer, live.d_vocab)
    config = BuildConfig(model="m", target=Path("a.duckdb"), top=5, weight_facts=False)
    decoder = Decoder(Plan(config, live, tokens, [0, 1]))
    with Largest(live) as largest:
        rows = decoder.run("down_proj/1")["_decoding"]
    assert len(rows) == EXPERTS * UNITS
    assert 0 < largest.numbers < ONE_WEIGHT
