"""`fires` on a mixture of experts: against plain loops over experts, by the distributions that the atlas stores."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from atlas.live.loading import load
from atlas.live.model import LiveModel
from atlas.schema.exemplar_tables import PROBABILITIES
from atlas.store.reader import open_atlas
from builders.build.pipeline import build
from builders.fires.question import FiresRequest, fires
from tests.atlas.live.plain_experts import has_experts, inputs_of, plain_layer
from tests.end_to_end.workbench import PETS, SPORT, config
from tests.synthetic import make_model

ASKED = ["dog reads about money .", "This old Paris !", "dog reads about money ."]  # one of them twice
TOP = 6


class Made(NamedTuple):
    atlas: Path
    live: LiveModel


@pytest.fixture(scope="module", params=[("qwen2_moe", {}), ("mixtral", {"num_experts_per_tok": 1})])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    family, fields = request.param
    folder = tmp_path_factory.mktemp("fires")
    model = make_model(family, folder / "m", **fields)
    (folder / "t.txt").write_text("\n".join([*PETS, *SPORT]))
    options: dict[str, Any] = {"decode": False, "dtype": "float32", "context_length": 16, "batch_tokens": 64}
    path = build(config(model, folder / "a.duckdb", None, texts=(str(folder / "t.txt"),), **options)).path
    return Made(path, load(str(model), device="cpu", dtype="float32"))


def activations(live: LiveModel, ids: list[int]) -> dict[tuple[int, int, int], float]:
    """(token, layer, neuron) -> activation, of tokens that are routed to the neuron's expert."""
    found = {}
    for layer, x_TD in enumerate(inputs_of(live, torch.tensor([ids]))):
        if has_experts(live, layer):
            first = {part.expert: part.first_neuron for part in live.parts(layer)}
            for (token, expert), acts in plain_layer(live, layer, x_TD).acts["mlp_post"].items():
                found |= {(token, layer, first[expert] + unit): value for unit, value in enumerate(acts.tolist())}
            continue
        mlp = live.model.model.layers[layer].mlp
        gate, up = (x_TD @ each.weight.double().T for each in (mlp.gate_proj, mlp.up_proj))
        for token, acts in enumerate((torch.nn.functional.silu(gate) * up).tolist()):
            found |= {(token, layer, neuron): value for neuron, value in enumerate(acts)}
    return found


@pytest.mark.parametrize("by", ["percentile", "value"])
def test_each_token_has_the_neurons_that_are_farthest_out(made: Made, by: str) -> None:
    with open_atlas(made.atlas) as atlas:
        rows = fires(atlas, ASKED, FiresRequest(top=TOP, by=by), live=made.live).dicts()
        _, stored = atlas.query("SELECT layer, neuron, n, sampled, std, quantiles FROM firing")
    of = {(layer, neuron): rest for layer, neuron, *rest in stored}
    for number, text in enumerate(ASKED, start=1):
        ids = made.live.tokenizer(text, add_special_tokens=False)["input_ids"]
        truth: dict[int, dict[tuple[int, int], tuple[float, float]]] = {}
        for (token, *place), value in activations(made.live, ids).items():
            if (at := (place[0], place[1])) not in of:
                continue  # no token of the running text reached its expert
            _, _, std, quantiles = of[at]
            distance = max(value - quantiles[-1], 0) + min(value - quantiles[0], 0)
            share = float(np.interp(value, quantiles, PROBABILITIES))
            with np.errstate(divide="ignore"):
                out = np.float64(abs(distance)) / std if distance else -min(share, 1 - share)
            truth.setdefault(token, {})[at] = value, out if by == "percentile" else abs(value)
        for token, neurons in truth.items():
            mine = [row for row in rows if (row["text"], row["position"]) == (number, token)]
            best = sorted((key for _, key in neurons.values()), reverse=True)[:TOP]
            assert [row["rank"] for row in mine] == list(range(1, TOP + 1))
            assert [neurons[row["layer"], row["neuron"]][1] for row in mine] == pytest.approx(best, rel=1e-2, abs=1e-3)
            for row in mine:
                assert row["value"] == pytest.approx(neurons[row["layer"], row["neuron"]][0], rel=1e-3, abs=1e-5)
                assert [row["n"], row["sampled"]] == of[row["layer"], row["neuron"]][:2]
    assert len(rows) == TOP * sum(
        len(made.live.tokenizer(text, add_special_tokens=False)["input_ids"]) for text in ASKED
    )


def test_some_experts_are_told_apart(made: Made) -> None:
    """Else the test above would show nothing: neurons of routed experts are among the answers, and n differs."""
    with open_atlas(made.atlas) as atlas:
        rows = fires(atlas, ASKED, FiresRequest(top=40), live=made.live).dicts()
    assert len({row["n"] for row in rows}) > 3
