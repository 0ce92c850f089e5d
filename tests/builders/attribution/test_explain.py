"""What `explain` says of prompts, against plain hooks: every number of a row, and what removing the neurons does."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from atlas.errors import UnknownNameError, UsageError
from atlas.live.loading import load
from atlas.spec.document import Edit
from builders.attribution.explain import explain
from builders.attribution.request import COMPUTED, RULES, ExplainRequest, Prompt, parse_op
from tests.atlas.live.plain_edits import a_spec, plain_logits
from tests.synthetic import make_model

PROMPT = "The dog is good and"
FAMILIES = {"llama": {}, "gpt2": {}, "gemma2": {}, "mistral": {"sliding_window": 3}}
"""With a gate and without, RMSNorm and LayerNorm, a cap of the logits, a window shorter than the prompt."""


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explain")
    return {
        family: load(str(make_model(family, folder / family, add_bos=family == "llama", **fields)), device="cpu")
        for family, fields in FAMILIES.items()
    }


@pytest.fixture(params=FAMILIES)
def live(request, models):
    return models[request.param]


def ids_of(live):
    bos = [live.tokenizer.bos_token_id] if live.add_bos else []
    return [*bos, *live.tokenizer(PROMPT, add_special_tokens=False)["input_ids"]]


def measured(live, found, neurons, position="last"):
    """What the target loses by plain hooks that set the neurons to 0, before a cap."""
    ids = ids_of(live)
    edits = [Edit("mlp_post", layer, neuron, "set", 0.0) for layer, neuron in neurons]
    spec = a_spec(live, *edits, positions=position)
    values = []
    for each in (None, spec):
        logits = plain_logits(live, each, ids, len(ids))[-1].double()
        cap = live.logit_softcap
        logits = logits if not cap else cap * torch.atanh(logits / cap)
        values.append(float(logits[found.token_id] - (0 if found.against_id is None else logits[found.against_id])))
    return values[0], values[0] - values[1]


def top_of(values_LN, count):
    order = values_LN.flatten().argsort(descending=True)[:count].tolist()
    return [(place // values_LN.shape[1], place % values_LN.shape[1]) for place in order]


@pytest.mark.parametrize("position", ["last", "all"])
def test_what_is_measured_is_what_plain_hooks_measure(live, position):
    request = ExplainRequest(top=4, verify=4, position=position)
    (found,) = explain(live, [Prompt(PROMPT, " dog", " cat")], request)
    named = [(each.layer, each.neuron) for each in found.neurons]
    value, together = measured(live, found, named, position)
    assert (found.value, found.holds) == pytest.approx((value, together), abs=2e-4)
    for each in found.neurons:
        _, alone = measured(live, found, [(each.layer, each.neuron)], position)
        assert each.measured == pytest.approx(alone, abs=2e-4)
    assert found.sums["measured"] == pytest.approx(sum(each.measured for each in found.neurons))
    assert (found.token, found.against, found.prompt_ids) == (" dog", " cat", ids_of(live))


def test_the_named_set_holds_more_than_the_first_of_any_rule(live):
    for sign in (1, -1):
        (found,) = explain(live, [Prompt(PROMPT)], ExplainRequest(top=5, verify=0, sign=sign))
        scores = {**found.scores.by_rule, "size": sign * found.scores.acts_LN.abs()}
        for values_LN in scores.values():
            _, other = measured(live, found, top_of(sign * values_LN, 5))
            assert sign * found.holds >= sign * other - 2e-4
        assert sign * found.holds > 0 and all(each.measured is None for each in found.neurons)
        assert found.sums["measured"] is None and found.tried > 1


def test_ranks_and_sums_are_those_of_all_neurons(live):
    (found,) = explain(live, [Prompt(PROMPT)], ExplainRequest(top=6, rule="gradient", verify=2))
    values = {rule: values_LN.numpy() for rule, values_LN in found.scores.by_rule.items()}
    for place, each in enumerate(found.neurons):
        for rule in COMPUTED:
            value = values[rule][each.layer, each.neuron]
            assert getattr(each, rule) == value
            assert getattr(each, f"rank_{rule}") == 1 + (values[rule] > value).sum()
        assert each.rank_gradient == place + 1 and (each.measured is None) == (place >= 2)
    for rule in COMPUTED:
        assert found.sums[rule] == pytest.approx(sum(getattr(each, rule) for each in found.neurons))
    assert found.all_direct == pytest.approx(values["direct"].astype(np.float64).sum())


def test_measured_ranks_by_effects_of_single_neurons(live):
    (found,) = explain(live, [Prompt(PROMPT)], ExplainRequest(top=4, rule="measured", verify=6))
    shown = [each.measured for each in found.neurons]
    candidates = {each for values_LN in found.scores.by_rule.values() for each in top_of(values_LN, 6)}
    best = sorted((measured(live, found, [each])[1] for each in candidates), reverse=True)[:4]
    assert shown == pytest.approx(best, abs=2e-4)


def test_the_token_is_by_default_the_likeliest(live):
    (found,) = explain(live, [Prompt(PROMPT)], ExplainRequest(top=1, verify=0))
    ids = ids_of(live)
    order = plain_logits(live, None, ids, len(ids))[-1].argsort(descending=True).tolist()
    assert found.token_id == order[0] and found.against is None
    if found.token.startswith("["):
        return  # a row of the head that the tokenizer does not know cannot be named
    (other,) = explain(live, [Prompt(PROMPT, against=found.token)], ExplainRequest(top=1, verify=0))
    assert (other.token_id, other.against_id) == (order[1], order[0])


def test_neurons_write_what_their_weights_raise_at_this_sign(live):
    (found,) = explain(live, [Prompt(PROMPT)], ExplainRequest(top=8, verify=0))
    known = sorted(set(live.tokenizer.get_vocab().values()))
    texts = {i: t for t, i in live.tokenizer.get_vocab().items()}
    for each in found.neurons:
        vector = live.weight("down_proj", each.layer)[each.neuron].double()
        logits = live.unembedding().double()[known] @ vector * (-1 if each.activation < 0 else 1)
        assert each.writes == [texts[known[i]].replace("▁", " ") for i in logits.topk(4).indices.tolist()]


def test_prompts_come_in_order_each_as_if_alone(models):
    live, request = models["llama"], ExplainRequest(top=3, verify=3)
    prompts = [Prompt("The cat is", " happy"), Prompt(PROMPT), Prompt("the team won", against=" goal")]
    found = explain(live, prompts, request)
    assert [each.prompt for each in found] == [each.text for each in prompts]
    for prompt, each in zip(prompts, found, strict=True):
        (alone,) = explain(live, [prompt], request)
        assert (each.token, each.value, each.neurons) == (alone.token, alone.value, alone.neurons)


def test_tokens_that_are_none(models):
    live = models["llama"]
    for token, said in (("nothing", "no token"), ("", "no token"), ("dog dog", "' dog'"), ("team", "with a space")):
        with pytest.raises(UsageError, match="no token") as error:
            explain(live, [Prompt(PROMPT, token)])
        assert said in str(error.value)
    with pytest.raises(UsageError, match="no tokens"):
        explain(models["gpt2"], [Prompt("")])


@pytest.mark.parametrize(
    "options",
    [{"top": 0}, {"verify": -1}, {"sign": 0}, {"rule": "measured", "verify": 0}],
)
def test_requests_that_cannot_be(options):
    with pytest.raises(UsageError):
        ExplainRequest(**options)


def test_names_that_are_not_known():
    for options in ({"rule": "neurgrad"}, {"position": "mean"}):
        with pytest.raises(UnknownNameError):
            ExplainRequest(**options)
    assert parse_op("scale=0.5") == ("scale", 0.5)
    for text in ("damp=1", "", "kill=0"):
        with pytest.raises(UnknownNameError):
            parse_op(text)
    for text in ("set", "set=", "set=x", "set=nan", "set=1e99"):
        with pytest.raises(UsageError):
            parse_op(text)
    assert set(RULES) >= set(COMPUTED)
