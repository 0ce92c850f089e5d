"""The fast paths (kept layers, shared tokens, batches) against one full pass per text with hooks written here."""

from __future__ import annotations

import random
from itertools import product

import numpy as np
import pytest
import torch

from atlas.errors import QuestionError
from atlas.live.loading import load
from atlas.live.model import LiveModel
from atlas.live.passes import affordable_starts, run_pass
from builders.evaluation.edited import Budget
from builders.evaluation.scoring import label_log_probs, text_losses
from tests.amount import some
from tests.builders.evaluation.reference import make_spec, plain_log_probs
from tests.synthetic import make_model

TOLERANCE = 1e-4
LABELS = [10, 20, 30, 41]


@pytest.fixture(scope="module", params=["llama", "gpt2", "gpt_neox", "gemma2", "gemma3", "phi3"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LiveModel:
    return load(str(make_model(request.param, tmp_path_factory.mktemp(request.param))), device="cpu")


def specs_of(live: LiveModel) -> list:
    def rows(site: str, layer: int, op: str = "set", value: float = 3.0, when=None) -> list:
        return [(site, layer, neuron, op, value, when) for neuron in range(0, 16, 2)]

    return [
        None,
        make_spec(live, rows("mlp_post", 1)),
        make_spec(live, rows("mlp_post", 2, "scale", -1.0, (-1.0, 0.5)), "last"),
        make_spec(live, rows("resid_post", 0, "add", 1.5)),
        make_spec(live, rows("resid_post", 2), "last", "prompt"),
        make_spec(live, rows("mlp_post", 0) + rows("resid_post", 2, "add"), "last"),
        make_spec(live, rows("mlp_post", 1), (0, 2, 9)),
        make_spec(live, rows("mlp_post", 2), "all", "generated"),
        make_spec(live, rows("mlp_post", 2, "add", 2.0, (-0.5, 2.0)), "all", "prompt"),
    ]


def texts(n_common: int) -> list[list[int]]:
    """Nine texts of 2 to 16 tokens of their own after a common beginning."""
    draw = random.Random(n_common)
    common = [draw.randrange(4, 60) for _ in range(n_common)]
    return [common + [draw.randrange(4, 60) for _ in range(draw.randrange(2, 17))] for _ in range(9)]


SMALL, NO_CACHE = Budget(64, 10**9), Budget(2048, 0)


# The window of the sliding layers is 32: the last case goes beyond it.
@pytest.mark.parametrize(
    ("n_common", "budget"),
    some(product([0, 7, 30], [SMALL, NO_CACHE]), [(0, SMALL), (7, NO_CACHE), (30, SMALL)]),
)
def test_label_log_probs_equal_plain_passes(model: LiveModel, n_common: int, budget: Budget) -> None:
    specs, prompts = specs_of(model), texts(n_common)
    found_AEC = label_log_probs(model, prompts, LABELS, specs, budget=budget)
    for spec, found_EC in zip(specs, found_AEC, strict=True):
        expected = [plain_log_probs(model, ids, spec, len(ids))[-1, LABELS] for ids in prompts]
        np.testing.assert_allclose(found_EC, torch.stack(expected).numpy(), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("budget", [Budget(40, 10**9), Budget(2048, 3000)])
def test_text_losses_equal_plain_passes(model: LiveModel, budget: Budget) -> None:
    specs, rows = specs_of(model), texts(5)
    found_AE = text_losses(model, rows, specs, budget=budget)
    for spec, found_E in zip(specs, found_AE, strict=True):
        for ids, found in zip(rows, found_E, strict=True):
            logprob_TV = plain_log_probs(model, ids, spec, 1)
            expected = -sum(logprob_TV[t, ids[t + 1]].item() for t in range(len(ids) - 1))
            assert found / len(ids) == pytest.approx(expected / len(ids), abs=TOLERANCE)


def test_nothing_stays_behind(live: LiveModel) -> None:
    ids = torch.tensor([[5, 6, 7]])
    mask = torch.ones_like(ids)
    before = run_pass(live, ids, mask, stops=[1, 2]).final_BTD
    label_log_probs(live, texts(7), LABELS, specs_of(live))
    assert torch.equal(run_pass(live, ids, mask).final_BTD, before)
    assert all("forward" not in vars(module) for module in live.model.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in live.model.modules())


def test_a_pass_can_begin_at_any_block(live: LiveModel) -> None:
    ids = torch.tensor([[5, 6, 7, 8]])
    mask = torch.ones_like(ids)
    plain = run_pass(live, ids, mask, stops=[1, 2])
    for layer in (1, 2):
        calls: list[int] = []
        hooks = [
            block.mlp.register_forward_hook(lambda *_, layer=number, calls=calls: calls.append(layer))
            for number, block in enumerate(live.model.model.layers)
        ]
        again = run_pass(live, ids, mask, start=plain.starts[layer]).final_BTD
        for hook in hooks:
            hook.remove()
        assert calls == list(range(layer, 3))
        torch.testing.assert_close(again, plain.final_BTD)


def test_memory_limits_what_is_kept() -> None:
    assert affordable_starts([0, 3, 3, 9], 10, 1000) == {0: 0, 3: 3, 9: 9}
    assert affordable_starts([0, 3, 9], 10, 19) == {0: 0, 3: 0, 9: 9}
    assert affordable_starts([3, 9], 10, 0) == {3: 0, 9: 0}


def test_numbers_that_overflow_are_an_error(live: LiveModel) -> None:
    spec = make_spec(live, [("mlp_post", 1, neuron, "scale", 3e38, None) for neuron in range(32)])
    with pytest.raises(QuestionError, match="no finite numbers"):
        label_log_probs(live, texts(0), LABELS, [spec])
    with pytest.raises(QuestionError, match="no finite numbers"):
        text_losses(live, texts(0), [spec])
