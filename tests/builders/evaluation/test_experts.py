"""`evaluate` and `run` of specs on expert neurons, against plain hooks on whole MLPs, one text at a time in float64."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import torch

from atlas.live.loading import load
from atlas.live.model import LiveModel
from atlas.spec.document import InterventionSpec
from builders.before_after import compare
from builders.evaluation.edited import Budget
from builders.evaluation.evaluate import evaluate
from builders.evaluation.scoring import text_losses
from tests.atlas.live.plain_experts import mlp_of, plain_layer, route
from tests.builders.evaluation.planted import EXAMPLES, LABELS, OTHERS, TEMPLATE
from tests.builders.evaluation.reference import make_spec
from tests.synthetic import make_model

SOME = EXAMPLES[::5]
ROUTED, SHARED = 4, 4  # experts of the model; the shared one is the fifth
WIDTH = 10


@pytest.fixture(scope="module", params=["qwen2_moe", "deepseek_v3"])
def live(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LiveModel:
    return load(str(make_model(request.param, tmp_path_factory.mktemp("e") / "m")), device="cpu", dtype="float32")


@contextmanager
def plain_edits(live: LiveModel, spec: InterventionSpec | None, n_prompt: int) -> Iterator[None]:
    """Each MLP's output plus what edited units write more: router's weight x (new - old) x the unit's output vector."""
    with ExitStack() as hooks, torch.no_grad():
        for layer in {edit.layer for edit in spec.edits} if spec else ():
            edits = [edit for edit in spec.edits if edit.layer == layer]

            def hook(mlp: Any, args: Any, output: Any, layer: int = layer, edits: Any = edits) -> torch.Tensor:
                x_TD = args[0].detach().reshape(-1, args[0].shape[-1]).double()
                plain, (weights, chosen) = plain_layer(live, layer, x_TD), route(mlp, x_TD)
                more_TD = torch.zeros_like(x_TD)
                for edit in edits:
                    expert, unit = divmod(edit.neuron, WIDTH)
                    for token in range(len(x_TD)):
                        if (token, expert) not in plain.acts["mlp_post"]:
                            continue
                        if spec.positions == "last" and token < n_prompt - 1:
                            continue
                        old = plain.acts["mlp_post"][token, expert][unit].item()
                        if edit.when and not edit.when.lower <= old <= edit.when.upper:
                            continue
                        new = {"set": edit.value, "scale": old * edit.value, "add": old + edit.value}[edit.op]
                        if expert < ROUTED:
                            weight = weights[token][chosen[token] == expert].item()
                            column = mlp.experts.down_proj[expert][:, unit].double()
                        else:
                            shared = getattr(mlp, "shared_expert", None) or mlp.shared_experts
                            gate = getattr(mlp, "shared_expert_gate", None)
                            weight = 1.0 if gate is None else torch.sigmoid(gate.weight.double() @ x_TD[token]).item()
                            column = shared.down_proj.weight[:, unit].double()
                        more_TD[token] += weight * (new - old) * column
                return output + more_TD.reshape(output.shape).to(output.dtype)

            hooks.callback(mlp_of(live, layer).register_forward_hook(hook).remove)
        yield


def plain_log_probs(live: LiveModel, ids: list[int], spec: InterventionSpec | None, n_prompt: int) -> torch.Tensor:
    with plain_edits(live, spec, n_prompt):
        return live.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].float().log_softmax(-1)


def rows(when: tuple[float, float] | None) -> list[Any]:
    """Edits of two units of every routed expert and one of the shared one, in two layers."""
    units = [WIDTH * expert + unit for expert in range(ROUTED) for unit in (1, 4)] + [WIDTH * SHARED + 3]
    first = [("mlp_post", 1, neuron, "set", 4.0, when) for neuron in units]
    return first + [("mlp_post", 2, neuron, "add", -3.0, when) for neuron in units]


@pytest.mark.parametrize("positions", ["all", "last"])
def test_every_number_of_an_evaluation_equals_a_plain_loop(live: LiveModel, positions: str) -> None:
    when = (0.0, 0.5)
    spec = make_spec(live, rows(when), positions, concept="pets")
    whole = make_spec(live, rows(None), positions, concept="pets")
    options: dict[str, Any] = {"labels": LABELS, "template": TEMPLATE, "bootstrap": 20, "other_texts": OTHERS}
    [found] = evaluate(live, [spec], SOME, budget=Budget(batch_tokens=48), **options)
    ids_of = lambda text: live.tokenizer(text, add_special_tokens=False)["input_ids"]  # noqa: E731
    tokens = [ids_of(word)[0] for word in LABELS.values()]
    seen = {}
    for arm, edits in (("baseline", None), ("range", spec), ("whole_neuron", whole)):
        hits: dict[str, list[bool]] = {name: [] for name in LABELS}
        confidence: dict[str, list[float]] = {name: [] for name in LABELS}
        for text, name in SOME:
            ids, gold = ids_of(TEMPLATE.replace("{text}", text)), list(LABELS).index(name)
            logprob_C = plain_log_probs(live, ids, edits, len(ids))[-1, tokens]
            confidence[name].append(math.exp(logprob_C[gold]))
            hits[name].append(int(logprob_C.argmax()) == gold)
        for metric, per_text in (("confidence", confidence), ("accuracy", hits)):
            others = [*per_text["sport"], *per_text["state"]]
            assert found.score(arm, metric, "target").value.value == pytest.approx(
                sum(per_text["pets"]) / len(per_text["pets"]), abs=1e-4
            )
            assert found.score(arm, metric, "complement").value.value == pytest.approx(
                sum(others) / len(others), abs=1e-4
            )
        loss = count = 0.0
        for ids in map(ids_of, OTHERS):
            logprob_TV = plain_log_probs(live, ids, edits, 1)
            loss -= sum(logprob_TV[t, ids[t + 1]].item() for t in range(len(ids) - 1))
            count += len(ids) - 1
        perplexity = found.score(arm, "perplexity", "other").value.value
        assert perplexity == pytest.approx(math.exp(loss / count), rel=1e-4)
        seen[arm] = perplexity, found.score(arm, "confidence", "target").value.value
    assert len(set(seen.values())) == 3  # the three arms are three things


def test_losses_are_the_same_one_by_one_padded_and_twice(live: LiveModel) -> None:
    spec = make_spec(live, rows((0.0, 0.5)))
    texts = [live.tokenizer(text, add_special_tokens=False)["input_ids"] for text in [*OTHERS, OTHERS[0]]]
    alone = text_losses(live, texts, [spec], budget=Budget(batch_tokens=12))
    together = text_losses(live, texts, [spec, None], budget=Budget(batch_tokens=400))
    assert together[0] == pytest.approx(alone[0], rel=1e-4)
    assert alone[0][0] == pytest.approx(alone[0][-1], rel=1e-6) and (together[0] != together[1]).all()


def test_run_shows_what_the_edits_do(live: LiveModel) -> None:
    spec = make_spec(live, rows((0.0, 0.5)))
    found = compare(live, spec, "The dog runs in the city")
    plain = plain_log_probs(live, found.prompt_ids, spec, len(found.prompt_ids))[-1]
    for token in found.tokens:
        assert token.probability_after == pytest.approx(plain[token.token_id].exp().item(), abs=1e-5)
    ids = list(found.prompt_ids)
    for _ in range(3):  # greedy generation, every token edited
        ids.append(int(plain_log_probs(live, ids, spec, len(ids))[-1].argmax()))
    said = live.tokenizer.decode(ids[len(found.prompt_ids) :])
    assert found.text_after.startswith(said) or found.text_after.strip().startswith(said.strip())
